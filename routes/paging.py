"""One answer for every list: a bare array, with the total and the way to its neighbours in the headers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import request

from domain.details import Page
from routes.api import Reply
from routes.inputs import PageQuery

Entity = TypeVar("Entity")


def paged(page: Page[Entity], query: PageQuery, shown: Callable[[Entity], Any] | None = None) -> Reply:
    """The items, each through `shown` where they are not Models yet, with X-Total-Count and Link (RFC 8288)."""
    items = page.items if shown is None else [shown(item) for item in page.items]
    headers = {"X-Total-Count": str(page.total)}
    last = max(1, -(-page.total // query.page_size))
    numbers = {"first": 1, "prev": query.page - 1, "next": query.page + 1, "last": last}
    links = [
        f'<{request.path}?{urlencode({**request.args.to_dict(), "page": number})}>; rel="{relation}"'
        for relation, number in numbers.items()
        if 1 <= number <= last
    ]
    headers["Link"] = ", ".join(links)
    return Reply(items, headers=headers)

"""The answer of every list: a bare array, with the total and links to other pages in the headers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import request
from pydantic import Field
from pydantic_core import to_jsonable_python

from domain.details import Page
from domain.errors import Invalid
from domain.moment import Moment
from domain.pattern import Pattern
from domain.selection import Order, Selection
from routes.api import Reply
from routes.inputs import PageQuery

Entity = TypeVar("Entity")


class NamedQuery(PageQuery):
    """Base of the parameters of lists that are filtered by name and sorted. Subclasses define the values of `sort`."""

    name: str = Field(
        "", max_length=255, description="part of the name; case is ignored. With `useRegex`: a regular expression (RE2)"
    )
    use_regex: bool = False
    descending: bool = False

    def selection(self) -> Selection:
        """Return the requested selection. Raises Invalid for an invalid regular expression."""
        if self.use_regex:
            try:
                Pattern(self.name)
            except ValueError as exc:
                raise Invalid.at("name", str(exc)) from None
        sort: str = getattr(self, "sort", "")
        return Selection(self.page, self.page_size, self.name, self.use_regex, sort, self.descending)


class BrokerQuery(NamedQuery):
    """Base of the parameters of lists in which the service's own queues and exchanges would be in the way."""

    include_internal: bool = Field(
        False, description="also list the service's own, whose names start with `workerrmq.`"
    )


class LogQuery(PageQuery):
    """Base of the parameters of logs, sorted by time, the latest first, by default. Subclasses define the values of
    `sort`."""

    since: Moment | None = Field(None, description="at or after this time, such as 2026-01-31T12:00:00Z")
    until: Moment | None = Field(None, description="before this time")
    descending: bool = Field(True, description="largest or latest value first")

    def order(self) -> Order:
        """Return the requested order."""
        return Order(getattr(self, "sort", "at"), self.descending)


def paged(page: Page[Entity], query: PageQuery, shown: Callable[[Entity], Any] | None = None) -> Reply[list[Any]]:
    """Return a page as an answer, with X-Total-Count and Link (RFC 8288). `shown` converts items that are not Models.
    The links are relative to the request's URL, because a proxy may add a path prefix unknown to us."""
    items: list[Any] = page.items if shown is None else [shown(item) for item in page.items]
    if only := query.only():
        items = [_only(only, item) for item in items]
    headers = {"X-Total-Count": str(page.total)}
    last = max(1, -(-page.total // query.page_size))
    numbers = {"first": 1, "prev": query.page - 1, "next": query.page + 1, "last": last}
    links = [
        f'<{request.path[1:]}?{urlencode({**request.args.to_dict(), "page": number})}>; rel="{relation}"'
        for relation, number in numbers.items()
        if 1 <= number <= last
    ]
    headers["Link"] = ", ".join(links)
    return Reply(items, headers=headers)


def _only(fields: list[str], item: Any) -> dict[str, Any]:
    every: dict[str, Any] = to_jsonable_python(item, by_alias=True)
    return {name: every[name] for name in fields}

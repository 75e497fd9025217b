"""Lists that RabbitMQ cuts into pages itself (https://www.rabbitmq.com/docs/management#http-api: Pagination)."""

from __future__ import annotations

from typing import Any

from domain.details import Page
from domain.errors import Invalid
from gateway.management.client import ManagementClient
from gateway.management.refusals import PAGE_OUT_OF_RANGE


def read_page(
    client: ManagementClient, kind: str, number: int, size: int, pattern: str, columns: str
) -> Page[dict[str, Any]]:
    """One page of the `kind` of things in the virtual host, by name: those whose name contains `pattern`, in any case.
    A page past the last is empty."""
    try:
        return _read(client, kind, number, size, pattern, columns)
    except Invalid as exc:
        if exc.code != PAGE_OUT_OF_RANGE:
            raise
    return Page([], _read(client, kind, 1, 1, pattern, "name").total)


def _read(
    client: ManagementClient, kind: str, number: int, size: int, pattern: str, columns: str
) -> Page[dict[str, Any]]:
    query: dict[str, str | int] = {"page": number, "page_size": size, "name": pattern, "use_regex": "false"}
    query |= {"sort": "name", "columns": columns}
    found = client.get(kind, client.vhost, subject="virtual host", query=query)
    return Page(found["items"], found["filtered_count"])

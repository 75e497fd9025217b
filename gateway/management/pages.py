"""Lists that RabbitMQ filters, sorts and paginates (https://www.rabbitmq.com/docs/management#http-api)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from domain.details import Page
from domain.errors import Invalid
from domain.selection import Selection
from gateway.management.client import ManagementClient
from gateway.management.refusals import PAGE_OUT_OF_RANGE


def read_page(
    client: ManagementClient, kind: str, wanted: Selection, columns: str, sort_columns: Mapping[str, str]
) -> Page[dict[str, Any]]:
    """Return one page of the list `kind` (queues or exchanges) of the virtual host. A page after the last one is empty.
    `sort_columns` maps fields to RabbitMQ's columns. A regular expression must be the service's own, never a client's,
    because RabbitMQ's engine backtracks."""
    try:
        return _read(client, kind, wanted, columns, sort_columns)
    except Invalid as exc:
        if exc.code != PAGE_OUT_OF_RANGE:
            raise
    return Page([], _read(client, kind, replace(wanted, number=1, size=1), "name", {}).total)


def _read(
    client: ManagementClient, kind: str, wanted: Selection, columns: str, sort_columns: Mapping[str, str]
) -> Page[dict[str, Any]]:
    query: dict[str, str | int] = {
        "page": wanted.number,
        "page_size": wanted.size,
        "name": wanted.pattern,
        "use_regex": "true" if wanted.regex else "false",
        "sort": sort_columns.get(wanted.sort, "name"),
        "sort_reverse": "true" if wanted.descending else "false",
        "columns": columns,
    }
    found = client.get(kind, client.vhost, subject="virtual host", query=query)
    return Page(found["items"], found["filtered_count"])

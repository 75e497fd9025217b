"""Sorting, filtering, paging and columns of all lists, as RabbitMQ's HTTP API documents them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from broker.core.patterns import compiled
from broker.management.errors import ApiError

_MAX_PAGE_SIZE = 500
_MATCH_SECONDS = 0.2  # for all names together: no other client is served meanwhile
_ITEMS_PER_TURN = 200  # items shown before other tasks run

Item = dict[str, Any]
Entity = TypeVar("Entity", bound="Named")


def select_columns(item: Item, query: Mapping[str, str]) -> Item:
    """Return the item with only the fields in `columns`; "message_stats.publish" selects a field of a nested object."""
    wanted = query.get("columns")
    if not wanted:
        return item
    picked: Item = {}
    for path in wanted.split(","):
        _copy(item, picked, path.split("."))
    return picked


def _copy(item: Item, picked: Item, path: Sequence[str]) -> None:
    name, *rest = path
    if name not in item:
        return
    if not rest:
        picked[name] = item[name]
    elif isinstance(item[name], dict):
        inner = picked.setdefault(name, {})
        _copy(item[name], inner, rest)
        if not inner:
            del picked[name]


def sorted_items(items: list[Item], query: Mapping[str, str]) -> list[Item]:
    """Sort the items and cut them to columns."""
    return [select_columns(item, query) for item in _sorted(items, query)]


def paginated(items: list[Item], query: Mapping[str, str]) -> list[Item] | Item:
    """Sort the items and cut them to columns. With `page` in the query return one page and the counts.

    Raises ApiError for an invalid page, or one beyond the last.
    """
    if "page" not in query:
        return sorted_items(items, query)
    ordered = _sorted(items, query)
    number, size = _page(query)
    found = _filtered(ordered, query)
    pages = -(-len(found) // size)
    if number > max(pages, 1):
        reason = f"Page out of range, page: {number} page size: {size}, len: {len(found)}"
        raise ApiError(400, "page_out_of_range", reason)
    part = [select_columns(item, query) for item in found[(number - 1) * size : number * size]]
    return {
        "filtered_count": len(found),
        "item_count": len(part),
        "items": part,
        "page": number,
        "page_count": pages,
        "page_size": size,
        "total_count": len(items),
    }


class Named(Protocol):
    """An entity with a name."""

    @property
    def name(self) -> str: ...


async def paginated_lazily(
    entities: Sequence[Entity], show: Callable[[Entity], Item], query: Mapping[str, str]
) -> list[Item] | Item:
    """Paginate what `show` makes of the entities, without blocking the event loop.

    If the names alone decide what is on the page, show only that page. Otherwise let other tasks run in between.
    """
    if "page" in query and query.get("sort", "") in ("", "name"):
        places = [{"name": entity.name, "place": place} for place, entity in enumerate(entities)]
        page = paginated(places, {name: value for name, value in query.items() if name != "columns"})
        assert isinstance(page, dict)
        page["items"] = [select_columns(show(entities[item["place"]]), query) for item in page["items"]]
        return page
    items = []
    for entity in entities:
        items.append(show(entity))
        if len(items) % _ITEMS_PER_TURN == 0:
            await asyncio.sleep(0)
    return paginated(items, query)


def _page(query: Mapping[str, str]) -> tuple[int, int]:
    try:
        number, size = int(query["page"]), int(query.get("page_size", "100"))
    except ValueError:
        raise _invalid() from None
    if number < 1 or not 1 <= size <= _MAX_PAGE_SIZE:
        reason = f"Invalid pagination parameters: page number {number}, page size {size}"
        raise ApiError(400, "invalid_pagination_parameters", reason)
    return number, size


def _filtered(items: list[Item], query: Mapping[str, str]) -> list[Item]:
    name = query.get("name", "")
    if not name:
        return items
    if query.get("use_regex") != "true":
        return [item for item in items if name.lower() in str(item.get("name", "")).lower()]
    try:
        search = compiled(name, case_sensitive=False)
    except ValueError:
        raise _invalid() from None
    matching, until = [], time.monotonic() + _MATCH_SECONDS
    for item in items:
        if time.monotonic() > until:
            raise _invalid()
        if search(str(item.get("name", ""))):
            matching.append(item)
    return matching


def _sorted(items: list[Item], query: Mapping[str, str]) -> list[Item]:
    path = query.get("sort")
    if not path:
        return items
    return sorted(items, key=lambda item: _sort_key(item, path.split(".")), reverse=query.get("sort_reverse") == "true")


def _sort_key(item: Any, path: Sequence[str]) -> tuple[int, float, str]:
    """Order absent fields first, then numbers, then text: Erlang's order. Any two values compare."""
    for name in path:
        item = item.get(name) if isinstance(item, dict) else None
    if item is None:
        return (0, 0, "")
    if isinstance(item, int | float):
        return (1, item, "")
    return (2, 0, str(item))


def _invalid() -> ApiError:
    return ApiError(400, "bad_request", "Pagination parameters are invalid")

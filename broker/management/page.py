"""What every list of the API goes through: sort, filter, page and columns, as RabbitMQ's HTTP API documents them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from broker.core.pattern import Pattern
from broker.management.refusal import Refusal

_LARGEST_PAGE = 500
_MATCH_SECONDS = 0.2  # for all names together: the broker does nothing else meanwhile
_AT_ONCE = 200  # items made before other work has its turn

Item = dict[str, Any]
Entity = TypeVar("Entity", bound="Named")


def columns(item: Item, query: Mapping[str, str]) -> Item:
    """The item with only the fields named by `columns`; "message_stats.publish" picks one field of a nested one."""
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


def unpaged(items: list[Item], query: Mapping[str, str]) -> list[Item]:
    """The items sorted and cut to columns."""
    return [columns(item, query) for item in _sorted(items, query)]


def listed(items: list[Item], query: Mapping[str, str]) -> list[Item] | Item:
    """The items sorted and cut to columns; one page of them, with counts, when `page` asks for it.

    Raises Refusal for a page that is no page, or beyond the last.
    """
    if "page" not in query:
        return unpaged(items, query)
    ordered = _sorted(items, query)
    number, size = _page(query)
    found = _filtered(ordered, query)
    pages = -(-len(found) // size)
    if number > max(pages, 1):
        reason = f"Page out of range, page: {number} page size: {size}, len: {len(found)}"
        raise Refusal(400, "page_out_of_range", reason)
    part = [columns(item, query) for item in found[(number - 1) * size : number * size]]
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
    """What has a name to be found by."""

    @property
    def name(self) -> str: ...


async def listed_lazily(
    entities: Sequence[Entity], show: Callable[[Entity], Item], query: Mapping[str, str]
) -> list[Item] | Item:
    """As `listed`, of what `show` makes of the entities, without keeping the broker from its work.

    Where names alone decide what is on a page, only that page is made; else other work comes in between.
    """
    if "page" in query and query.get("sort", "") in ("", "name"):
        places = [{"name": entity.name, "place": place} for place, entity in enumerate(entities)]
        page = listed(places, {name: value for name, value in query.items() if name != "columns"})
        assert isinstance(page, dict)
        page["items"] = [columns(show(entities[item["place"]]), query) for item in page["items"]]
        return page
    items = []
    for entity in entities:
        items.append(show(entity))
        if len(items) % _AT_ONCE == 0:
            await asyncio.sleep(0)
    return listed(items, query)


def _page(query: Mapping[str, str]) -> tuple[int, int]:
    try:
        number, size = int(query["page"]), int(query.get("page_size", "100"))
    except ValueError:
        raise _invalid() from None
    if number < 1 or not 1 <= size <= _LARGEST_PAGE:
        reason = f"Invalid pagination parameters: page number {number}, page size {size}"
        raise Refusal(400, "invalid_pagination_parameters", reason)
    return number, size


def _filtered(items: list[Item], query: Mapping[str, str]) -> list[Item]:
    name = query.get("name", "")
    if not name:
        return items
    if query.get("use_regex") != "true":
        return [item for item in items if name.lower() in str(item.get("name", "")).lower()]
    try:
        pattern = Pattern(name, ignore_case=True)
    except ValueError:
        raise _invalid() from None
    found, until = [], time.monotonic() + _MATCH_SECONDS
    for item in items:
        if time.monotonic() > until:
            raise _invalid()
        if pattern.found_in(str(item.get("name", ""))):
            found.append(item)
    return found


def _sorted(items: list[Item], query: Mapping[str, str]) -> list[Item]:
    path = query.get("sort")
    if not path:
        return items
    return sorted(items, key=lambda item: _sort_key(item, path.split(".")), reverse=query.get("sort_reverse") == "true")


def _sort_key(item: Any, path: Sequence[str]) -> tuple[int, float, str]:
    """Absent fields first, then numbers, then text: Erlang's order, and never a comparison that fails."""
    for name in path:
        item = item.get(name) if isinstance(item, dict) else None
    if item is None:
        return (0, 0, "")
    if isinstance(item, int | float):
        return (1, item, "")
    return (2, 0, str(item))


def _invalid() -> Refusal:
    return Refusal(400, "bad_request", "Pagination parameters are invalid")

"""Ordering by key: of the messages with one key, one is in flight; the others wait in order of arrival."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Generic, TypeVar

import orjson

from domain.consumer import ByHeader, Ordering

Item = TypeVar("Item")


class Lanes(Generic[Item]):
    """One lane for each key that has messages; an empty lane is removed."""

    def __init__(self) -> None:
        self._lanes: dict[Hashable, deque[Item]] = {}

    def add(self, key: Hashable, item: Item) -> bool:
        """Append `item` to its lane. Return whether it is the first there and may be sent."""
        lane = self._lanes.get(key)
        if lane is None:
            self._lanes[key] = deque((item,))
            return True
        lane.append(item)
        return False

    def finish(self, key: Hashable) -> Item | None:
        """Remove the first item of the lane, which is settled. Return the next one, which may be sent, or None."""
        lane = self._lanes.get(key)
        if lane is None:
            return None
        lane.popleft()
        if lane:
            return lane[0]
        del self._lanes[key]
        return None

    def clear(self) -> None:
        self._lanes.clear()

    def __len__(self) -> int:
        return len(self._lanes)


def key_function(ordering: Ordering) -> Callable[[Mapping[str, Any] | None, bytes], Hashable] | None:
    """Return a function from headers and body to the ordering key; None if the consumer is not ordered. Messages
    without the header or the JSON path share one key, so that none of them overtakes another."""
    if ordering == "none":
        return None
    if ordering == "queue":
        return lambda _headers, _body: ""
    if isinstance(ordering, ByHeader):
        header = ordering.header
        return lambda headers, _body: repr(headers.get(header)) if headers else "None"
    path = ordering.json_path.split(".")
    return lambda _headers, body: _key(_at(body, path))


def _key(value: Any) -> str:
    try:
        return repr(value)
    except RecursionError:  # JSON may be nested deeper than Python's stack allows
        return "too deep"


def _at(body: bytes, path: list[str]) -> Any:
    try:
        value = orjson.loads(body)
        for step in path:
            value = value[int(step)] if isinstance(value, list) else value[step]
    except (ValueError, KeyError, IndexError, TypeError):
        return None
    return value

"""Lists that come whole, from RabbitMQ or the store: filtered, sorted and cut into pages here, as RabbitMQ does with
its others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from pydantic.alias_generators import to_snake

from domain.details import Page
from domain.errors import Invalid
from domain.pattern import Pattern
from domain.selection import Selection
from runtime.native_threads import NativeThreads

Item = TypeVar("Item")
Names = Callable[[Item], Iterable[str | None]]

MATCHING_SECONDS = 0.5
"""For all items together. Each takes a few milliseconds at most (domain/pattern.py), but there may be many."""

_THREADS = NativeThreads(2)
"""RE2 releases Python's lock while it searches."""


def selected(items: Sequence[Item], wanted: Selection, names: Names[Item]) -> Page[Item]:
    """The `wanted` page of those one of whose `names` fits its pattern; in their order where it says none.

    Raises Invalid when it takes too long to find them, and ValueError for a pattern that Pattern does not take.
    """
    found = _matching(items, wanted, names) if wanted.pattern else list(items)
    if wanted.sort:
        attribute = to_snake(wanted.sort)
        found.sort(key=lambda item: _place(getattr(item, attribute)))
    if wanted.descending:
        found.reverse()
    first = (wanted.number - 1) * wanted.size
    return Page(found[first : first + wanted.size], len(found))


def _matching(items: Sequence[Item], wanted: Selection, names: Names[Item]) -> list[Item]:
    if not wanted.regex:
        part = wanted.pattern.lower()
        return [item for item in items if any(part in name.lower() for name in names(item) if name)]
    return _THREADS.run(lambda: _searched(items, wanted.pattern, names))


def _searched(items: Sequence[Item], expression: str, names: Names[Item]) -> list[Item]:
    until = time.monotonic() + MATCHING_SECONDS
    pattern, found = Pattern(expression), []
    for item in items:
        if time.monotonic() > until:
            sentence = "is a regular expression that takes too long; make it simpler"
            raise Invalid(f"name: {sentence}", fields=[("name", sentence)])
        if any(pattern.found_in(name) for name in names(item) if name):
            found.append(item)
    return found


def _place(value: Any) -> tuple[int, float, str]:
    """What is absent comes first, then numbers and times, then text in any case."""
    if value is None:
        return 0, 0, ""
    if isinstance(value, datetime):
        return 1, value.timestamp(), ""
    return (1, value, "") if isinstance(value, int | float) else (2, 0, str(value).lower())

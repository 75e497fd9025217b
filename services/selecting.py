"""Filters, sorts and paginates lists that RabbitMQ or the store returns whole."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Any, TypeVar

from pydantic.alias_generators import to_snake

from domain.details import Page
from domain.errors import Invalid
from domain.names import OWN
from domain.pattern import Pattern
from domain.selection import Selection
from runtime.native_threads import NativeThreads
from services.turnstile import Turnstile

Item = TypeVar("Item")
Names = Callable[[Item], Iterable[str | None]]

MATCHING_SECONDS = 0.5
"""The time limit for one search. An item takes at most a few milliseconds (domain/pattern.py), but there may be
many."""

_AT_ONCE = 2
_SEARCHES = Turnstile(_AT_ONCE, 16, retry_after=2)
_THREADS = NativeThreads(_AT_ONCE)
"""RE2 releases the GIL while it searches."""

_INTERNAL = rf"(?-i:{re.escape(OWN)})"
_DEAD_LETTERS = r"[\s\S]*(?-i:\.dlq)$"
"""Regular expressions for the beginnings of the names to leave out. RabbitMQ ignores case in the rest."""

_PAGE = 500  # the largest page of RabbitMQ's management API


def selected(items: Sequence[Item], wanted: Selection, names: Names[Item]) -> Page[Item]:
    """Return the wanted page of the items with a name that matches the pattern, in their given order by default.

    Raises Invalid when the search takes too long, Throttled when too many searches wait, and ValueError for an invalid
    pattern.
    """
    found = _matching(items, wanted, names) if wanted.pattern else list(items)
    if wanted.sort:
        attribute = to_snake(wanted.sort)
        found.sort(key=lambda item: place(getattr(item, attribute)))
    if wanted.descending:
        found.reverse()
    first = (wanted.number - 1) * wanted.size
    return Page(found[first : first + wanted.size], len(found))


def visible(wanted: Selection, internal: bool, dead_letters: bool = True) -> Selection:
    """Return the selection without the service's own queues or exchanges, unless `internal` is set, and without the
    dead-letter queues, unless `dead_letters` is set. Only for lists that RabbitMQ filters."""
    hidden = "|".join([_INTERNAL] * (not internal) + [_DEAD_LETTERS] * (not dead_letters))
    return (
        replace(wanted, pattern=rf"^(?!{hidden})[\s\S]*{re.escape(wanted.pattern)}", regex=True) if hidden else wanted
    )


def every(page: Callable[[Selection], Page[Item]], wanted: Selection) -> Iterator[Item]:
    """Yield all items of a paginated list."""
    for number in count(1):
        found = page(replace(wanted, number=number, size=_PAGE))
        yield from found.items
        if number * _PAGE >= found.total:
            return


def _matching(items: Sequence[Item], wanted: Selection, names: Names[Item]) -> list[Item]:
    if not wanted.regex:
        part = wanted.pattern.lower()
        return [item for item in items if any(part in name.lower() for name in names(item) if name)]
    with _SEARCHES.entered():
        return _THREADS.run(lambda: _searched(items, wanted.pattern, names))


def _searched(items: Sequence[Item], expression: str, names: Names[Item]) -> list[Item]:
    until = time.monotonic() + MATCHING_SECONDS
    pattern, found = Pattern(expression), []
    for item in items:
        if time.monotonic() > until:
            raise Invalid.at("name", "the search with this regular expression took too long; simplify it")
        if any(pattern.found_in(name) for name in names(item) if name):
            found.append(item)
    return found


def place(value: Any) -> tuple[int, float, str]:
    """Return a sort key: None first, then numbers and times, then text without regard to case."""
    if value is None:
        return 0, 0, ""
    if isinstance(value, datetime):
        return 1, value.timestamp(), ""
    return (1, value, "") if isinstance(value, int | float) else (2, 0, str(value).lower())

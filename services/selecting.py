"""Lists that come whole, from RabbitMQ or the store: filtered, sorted and cut into pages here, as RabbitMQ does with
its others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import re2
from pydantic.alias_generators import to_snake

from domain.details import Page
from domain.errors import Invalid
from domain.selection import Selection

Item = TypeVar("Item")
Names = Callable[[Item], Iterable[str | None]]

_EXPRESSION_BYTES = 1 << 20
"""Memory that one compiled expression may take."""


def selected(items: Sequence[Item], wanted: Selection, names: Names[Item]) -> Page[Item]:
    """The `wanted` page of those one of whose `names` fits its pattern; in their order where it says none.

    Raises Invalid for a pattern that is no regular expression of RE2, or needs too much memory. RE2 searches in
    linear time (https://github.com/google/re2/wiki/Syntax), so that no client's pattern can block the process.
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
    pattern = compiled(wanted.pattern)
    return [item for item in items if any(pattern.search(name) for name in names(item) if name)]


def compiled(pattern: str) -> Any:
    """Compile a client's pattern, before it is searched for here or sent to RabbitMQ. Raises Invalid."""
    options = re2.Options()
    options.case_sensitive, options.log_errors, options.max_mem = False, False, _EXPRESSION_BYTES
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeError) as exc:
        sentence = f"must be a regular expression in RE2 syntax, which has no lookaround: {_reason(exc)}"
        raise Invalid(f"name: {sentence}", fields=[("name", sentence)]) from None


def _reason(error: Exception) -> str:
    reason = error.args[0]
    return reason.decode(errors="replace") if isinstance(reason, bytes) else "it is not valid Unicode"


def _place(value: Any) -> tuple[int, float, str]:
    """What is absent comes first, then numbers and times, then text in any case."""
    if value is None:
        return 0, 0, ""
    if isinstance(value, datetime):
        return 1, value.timestamp(), ""
    return (1, value, "") if isinstance(value, int | float) else (2, 0, str(value).lower())

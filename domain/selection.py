"""Which part of a list a client asks for, and in which order."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Selection:
    """Page `number` (from 1) of `size` items, of those whose name contains `pattern` in any case or, with `regex`,
    matches it somewhere; ordered by the field `sort` as clients know it, by name when that is empty."""

    number: int = 1
    size: int = 100
    pattern: str = ""
    regex: bool = False
    sort: str = ""
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """Of a log: by the field `by` as clients know it, and what is alike in it by time, the same way round."""

    by: str = "at"
    descending: bool = True

"""The page, filter and order of a list that a client asks for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Selection:
    """Page `number` (from 1) of `size` items whose name contains `pattern` (or, with `regex`, matches it), in any case.
    `sort` is the field to sort by, under its JSON name; empty sorts by name."""

    number: int = 1
    size: int = 100
    pattern: str = ""
    regex: bool = False
    sort: str = ""
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """The order of a log: by the field `by` (its JSON name), entries with equal values by time, in the same
    direction."""

    by: str = "at"
    descending: bool = True

"""The deadline of a unit of work: a request, or a call of the store outside of a request.

The time that it waits for the store is limited over all of its reads, writes and retries, not for each answer alone.
The time that a request spends elsewhere, as on a slow body or a confirm of the broker, does not count.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import pymongo

_SHORTEST = 0.001
"""pymongo takes 0 for no limit."""


@dataclass(slots=True)
class _Unit:
    left: float


_unit: ContextVar[_Unit | None] = ContextVar("unit", default=None)


@contextmanager
def unit_of_work(seconds: float | None) -> Iterator[None]:
    """Let all calls of the store inside wait for at most `seconds` together; None sets no limit."""
    token = _unit.set(None if seconds is None else _Unit(seconds))
    try:
        yield
    finally:
        _unit.reset(token)


@contextmanager
def limited(seconds: float | None) -> Iterator[None]:
    """Limit pymongo's calls inside to what the unit of work has left, or outside of one to `seconds`; None sets no
    limit. pymongo raises errors whose `timeout` is true when the time is up."""
    unit = _unit.get() or (None if seconds is None else _Unit(seconds))
    if unit is None:
        yield
        return
    left, began = unit.left, time.monotonic()
    try:
        with pymongo.timeout(max(left, _SHORTEST)):
            yield
    finally:  # calls inside of this call have counted their part
        unit.left = min(unit.left, left - (time.monotonic() - began))

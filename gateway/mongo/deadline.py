"""The deadline of a unit of work: a request, or a call of the store outside of a request.

It limits the total time that the unit waits for the store, over all reads, writes and retries. The time that a request
spends elsewhere, for example on a slow body or a confirm of the broker, does not count.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import pymongo

_SHORTEST = 0.001
"""Seconds. pymongo reads 0 as no limit."""


@dataclass(slots=True)
class _Unit:
    left: float


_unit: ContextVar[_Unit | None] = ContextVar("unit", default=None)


@contextmanager
def unit_of_work(seconds: float | None) -> Iterator[None]:
    """Limit the total wait of all calls of the store inside the context to `seconds`; None sets no limit."""
    token = _unit.set(None if seconds is None else _Unit(seconds))
    try:
        yield
    finally:
        _unit.reset(token)


@contextmanager
def limited(seconds: float | None) -> Iterator[None]:
    """Limit pymongo's calls inside the context to the rest of the unit of work or, outside of one, to `seconds`; None
    sets no limit. When the time is up, pymongo raises errors whose `timeout` is true."""
    unit = _unit.get() or (None if seconds is None else _Unit(seconds))
    if unit is None:
        yield
        return
    left, began = unit.left, time.monotonic()
    try:
        with pymongo.timeout(max(left, _SHORTEST)):
            yield
    finally:  # nested calls have already subtracted their time
        unit.left = min(unit.left, left - (time.monotonic() - began))

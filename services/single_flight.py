"""Callers that ask the same question at the same time share one call."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class SingleFlight(Generic[Answer]):
    """Thread-safe. Keeps nothing: a caller that comes after the answer makes a new call."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._flights: dict[str, Future[Answer]] = {}

    def call(self, key: str, ask: Callable[[], Answer]) -> Answer:
        """Return what `ask` returns, or what the call under way for the same `key` returns; raise what it raises."""
        with self._lock:
            flight = self._flights.get(key)
            leads = flight is None
            if flight is None:
                flight = self._flights[key] = Future()
        if leads:
            try:
                flight.set_result(ask())
            except BaseException as exc:
                flight.set_exception(exc)
                raise
            finally:
                with self._lock:
                    del self._flights[key]
        return flight.result()

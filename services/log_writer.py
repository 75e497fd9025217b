"""Writes the entries of a log in a background thread, so that a request spends only microseconds on its entry."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from threading import Condition, Thread
from typing import Generic, TypeVar

import structlog

from services.complaints import Complaints

log = structlog.get_logger("workerrmq.log")

Entry = TypeVar("Entry")


class LogWriter(Generic[Entry]):
    """A part of the process's runtime. Its thread owns the writes; any thread may call `add`."""

    def __init__(
        self,
        name: str,
        write: Callable[[Sequence[Entry]], int],
        *,
        max_waiting: int = 10_000,
        at_once: int = 500,
        retry_after: float = 1.0,
        complaints: Complaints | None = None,
    ) -> None:
        """`write` stores entries and returns the number of those that can never be stored. Raises StoreUnavailable.

        Keep at most `max_waiting` entries while the store is down; count and log the entries that are dropped beyond
        that. Write up to `at_once` entries per call, and retry a failed call after `retry_after` seconds."""
        self._name, self._write_entries = name, write
        self._complaints = complaints or Complaints()
        self._max_waiting, self._at_once, self._retry_after = max_waiting, at_once, retry_after
        self._waiting: deque[Entry] = deque()
        self._changed = Condition()
        self._lost = 0
        self._ends_at: float | None = None
        self._thread: Thread | None = None

    def start(self) -> None:
        self._ends_at = None
        self._thread = Thread(target=self._run, name=f"workerrmq-{self._name}", daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Write the waiting entries, for at most `timeout` seconds."""
        if self._thread is None:
            return
        with self._changed:
            self._ends_at = time.monotonic() + timeout
            self._changed.notify()
        self._thread.join(timeout + 1)
        self._thread = None

    def add(self, entry: Entry) -> None:
        """Queue an entry to be written. Never waits for the store."""
        with self._changed:
            if len(self._waiting) >= self._max_waiting:
                self._lost += 1
                return
            self._waiting.append(entry)
            self._changed.notify()

    def _run(self) -> None:
        while batch := self._next():
            if not self._complaints.attempt("store", self._name, partial(self._write, batch)):
                self._again(batch)

    def _write(self, batch: list[Entry]) -> None:
        lost = self._write_entries(batch)
        with self._changed:
            self._lost += lost

    def _next(self) -> list[Entry]:
        """Wait for entries, and return the next batch. Return an empty list at shutdown, when all entries are written
        or the timeout has passed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ends_at is not None)
            if self._ends_at is not None and time.monotonic() > self._ends_at:
                self._lost += len(self._waiting)
                self._waiting.clear()
            if self._lost:
                log.error("log_entries_lost", log=self._name, count=self._lost)
                self._lost = 0
            return [self._waiting.popleft() for _ in range(min(self._at_once, len(self._waiting)))]

    def _again(self, batch: list[Entry]) -> None:
        with self._changed:
            self._waiting.extendleft(reversed(batch))
            if self._ends_at is None or time.monotonic() < self._ends_at:
                until = time.monotonic() + self._retry_after
                self._changed.wait_for(
                    lambda: time.monotonic() >= until or self._ends_at is not None, self._retry_after
                )

"""The audit log. A background thread writes it, so that a request spends only microseconds on its entry."""

from __future__ import annotations

import time
from collections import deque
from functools import partial
from threading import Condition, Thread

import structlog

from domain.audit import AuditEntry, AuditFilter
from domain.details import Page
from domain.selection import Order
from gateway.mongo.audit import AuditEntries
from services.complaints import Complaints

log = structlog.get_logger("workerrmq.audit")


class AuditLog:
    """A part of the process's runtime. Its thread owns the writes; any thread may call `add` and `page`."""

    def __init__(
        self,
        entries: AuditEntries,
        *,
        max_waiting: int = 10_000,
        at_once: int = 500,
        retry_after: float = 1.0,
        complaints: Complaints | None = None,
    ) -> None:
        """Keep at most `max_waiting` entries while the store is down; count and log the entries that are dropped beyond
        that. Write up to `at_once` entries per call, and retry a failed call after `retry_after` seconds."""
        self._entries = entries
        self._complaints = complaints or Complaints()
        self._max_waiting, self._at_once, self._retry_after = max_waiting, at_once, retry_after
        self._waiting: deque[AuditEntry] = deque()
        self._changed = Condition()
        self._lost = 0
        self._ends_at: float | None = None
        self._thread: Thread | None = None

    def start(self) -> None:
        self._ends_at = None
        self._thread = Thread(target=self._run, name="workerrmq-audit", daemon=True)
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

    def add(self, entry: AuditEntry) -> None:
        """Queue an entry to be written. Never waits for the store."""
        with self._changed:
            if len(self._waiting) >= self._max_waiting:
                self._lost += 1
                return
            self._waiting.append(entry)
            self._changed.notify()

    def page(self, wanted: AuditFilter, order: Order, number: int, size: int) -> Page[AuditEntry]:
        """Return page `number` (from 1) of the entries that match, in `order`. Raises StoreUnavailable."""
        return self._entries.find(wanted, order, number, size)

    def _run(self) -> None:
        while batch := self._next():
            if not self._complaints.attempt("store", "audit", partial(self._write, batch)):
                self._again(batch)

    def _write(self, batch: list[AuditEntry]) -> None:
        lost = self._entries.add(batch)
        with self._changed:
            self._lost += lost

    def _next(self) -> list[AuditEntry]:
        """Wait for entries, and return the next batch. Return an empty list at shutdown, when all entries are written
        or the timeout has passed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ends_at is not None)
            if self._ends_at is not None and time.monotonic() > self._ends_at:
                self._lost += len(self._waiting)
                self._waiting.clear()
            if self._lost:
                log.error("audit_entries_lost", count=self._lost)
                self._lost = 0
            return [self._waiting.popleft() for _ in range(min(self._at_once, len(self._waiting)))]

    def _again(self, batch: list[AuditEntry]) -> None:
        with self._changed:
            self._waiting.extendleft(reversed(batch))
            if self._ends_at is None or time.monotonic() < self._ends_at:
                until = time.monotonic() + self._retry_after
                self._changed.wait_for(
                    lambda: time.monotonic() >= until or self._ends_at is not None, self._retry_after
                )

"""Values that are read elsewhere, and may take long: read by a thread of their own, and kept for a few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from contextlib import suppress
from typing import Generic, TypeVar

from domain.errors import WorkerError

Value = TypeVar("Value")

KEPT = 3.0
"""Seconds that a value is not read anew."""
FORGOTTEN = 30.0
"""Seconds after which nothing is better than an old value."""


class Fresh(Generic[Value]):
    """Thread-safe. However slow the reading, whoever asks waits no longer than he wants to."""

    def __init__(self, read: Callable[[], Value], name: str) -> None:
        """`read` may raise domain errors; the value before stands until it is forgotten."""
        self._read = read
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._reading: Future[None] | None = None
        self._latest: Value | None = None
        self._read_at = float("-inf")

    def ask(self) -> None:
        """Have it read, if it is not fresh and nobody reads it. Does not wait."""
        reading = self._reading
        if time.monotonic() - self._read_at > KEPT and (reading is None or reading.done()):
            self._reading = self._thread.submit(self._run)

    def latest(self, until: float) -> Value | None:
        """The latest value, after waiting for the one that is being read until the monotonic time `until`; None when
        there is none from the last half minute."""
        if self._reading is not None:
            with suppress(StillRunning):
                self._reading.result(max(0.0, until - time.monotonic()))
        return self._latest if time.monotonic() - self._read_at < FORGOTTEN else None

    def _run(self) -> None:
        try:
            self._latest = self._read()
        except WorkerError:
            return  # the health of what it is read from is a reading of its own
        self._read_at = time.monotonic()

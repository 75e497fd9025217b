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


class Fresh(Generic[Value]):
    """Thread-safe. However slow the reading, whoever asks waits no longer than he wants to."""

    def __init__(self, read: Callable[[], Value], name: str, *, kept: float = 3.0, forgotten: float = 30.0) -> None:
        """A value is not read again for `kept` seconds. After `forgotten` seconds no value is better than the old one;
        until then it stands, also when `read` raises a domain error."""
        self._read = read
        self._kept, self._forgotten = kept, forgotten
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._reading: Future[None] | None = None
        self._latest: Value | None = None
        self._began_at = self._read_at = float("-inf")

    def ask(self, since: float | None = None) -> None:
        """Have it read unless the reading of the latest value began after the monotonic time `since`, by default `kept`
        seconds ago, or one is under way. Does not wait."""
        if since is None:
            since = time.monotonic() - self._kept
        reading = self._reading
        if self._began_at < since and (reading is None or reading.done()):
            self._reading = self._thread.submit(self._run)

    def latest(self, until: float) -> Value | None:
        """The latest value, after waiting for the one that is being read until the monotonic time `until`; None when
        there is none, or when it is forgotten."""
        if self._reading is not None:
            with suppress(StillRunning):
                self._reading.result(max(0.0, until - time.monotonic()))
        return self._latest if time.monotonic() - self._read_at < self._forgotten else None

    def close(self) -> None:
        """Read no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        began_at = time.monotonic()
        try:
            self._latest = self._read()
        except WorkerError:
            return  # the health of what it is read from is a reading of its own
        self._began_at, self._read_at = began_at, time.monotonic()

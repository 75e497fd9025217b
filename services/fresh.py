"""Values whose read may be slow: a separate thread reads them, and they are cached for a few seconds."""

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
    """Thread-safe. A caller chooses how long it waits, however slow the read is."""

    def __init__(self, read: Callable[[], Value], name: str, *, kept: float = 3.0, forgotten: float = 30.0) -> None:
        """Read a value at most once per `kept` seconds. A value expires after `forgotten` seconds; until then it is
        returned even if `read` raises a domain error."""
        self._read = read
        self._kept, self._forgotten = kept, forgotten
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._reading: Future[None] | None = None
        self._latest: Value | None = None
        self._began_at = self._read_at = float("-inf")

    def ask(self, since: float | None = None) -> None:
        """Start a read, unless one is running or the latest value was read since `since` (monotonic time, default
        `kept` seconds ago). Does not wait."""
        if since is None:
            since = time.monotonic() - self._kept
        reading = self._reading
        if self._began_at < since and (reading is None or reading.done()):
            self._reading = self._thread.submit(self._run)

    def latest(self, until: float) -> Value | None:
        """Wait for a running read, at most until the monotonic time `until`. Return the latest value, or None when
        there is none or it has expired."""
        if self._reading is not None:
            with suppress(StillRunning):
                self._reading.result(max(0.0, until - time.monotonic()))
        return self._latest if time.monotonic() - self._read_at < self._forgotten else None

    def close(self) -> None:
        """Stop reading."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        began_at = time.monotonic()
        try:
            self._latest = self._read()
        except WorkerError:
            return  # `Health` reports the state of the dependency
        self._began_at, self._read_at = began_at, time.monotonic()

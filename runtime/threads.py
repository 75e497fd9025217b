"""Starts the threads of a process after gunicorn's fork, which threads do not survive, and stops them in order."""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable, Sequence
from threading import Event, Lock, Thread
from typing import Protocol


class Part(Protocol):
    """An object that runs threads. `stop` finishes in about `timeout` seconds."""

    def start(self) -> None: ...

    def stop(self, timeout: float) -> None: ...


class OneThread:
    """The base of a part with one thread, which runs `_run` until `_stopping` is set."""

    _stopping: Event
    _thread: Thread | None = None

    def start(self) -> None:
        self._stopping = Event()
        self._thread = Thread(target=self._run, name=f"workerrmq-{type(self).__name__.lower()}", daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End the thread within `timeout` seconds, unless it waits for a dependency."""
        if self._thread is not None:
            self._stopping.set()
            self._thread.join(timeout)

    def _run(self) -> None:
        raise NotImplementedError


class Runtime:
    """Starts its parts in order, and stops them in reverse order. Any thread may call `start` and `stop` repeatedly. A
    forked child must start its own parts."""

    def __init__(self, parts: Sequence[Part], prepare: Callable[[], None], drain_timeout: float) -> None:
        """`prepare` runs first, in the caller's thread. `drain_timeout` (seconds) is the deadline of `stop` when the
        interpreter exits."""
        self._parts = list(parts)
        self._prepare = prepare
        self._drain_timeout = drain_timeout
        self._lock = Lock()
        self._started_in: int | None = None

    def start(self) -> None:
        """Start all parts, once per process."""
        if self._started_in == os.getpid():
            return
        with self._lock:
            if self._started_in == os.getpid():
                return
            self._prepare()
            for part in self._parts:
                part.start()
            atexit.register(self.stop, self._drain_timeout)
            self._started_in = os.getpid()

    def stop(self, deadline: float) -> None:
        """Stop all parts in about `deadline` seconds."""
        with self._lock:
            if self._started_in != os.getpid():
                return
            self._started_in = None
            until = time.monotonic() + deadline
            for part in reversed(self._parts):
                part.stop(max(0.5, until - time.monotonic()))

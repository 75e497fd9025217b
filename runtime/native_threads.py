"""Real threads for calls that block outside sockets, such as bcrypt: under gevent they would stop every request."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

from gevent import monkey
from gevent.threadpool import ThreadPoolExecutor as NativeExecutor

Result = TypeVar("Result")


class NativeThreads:
    """At most `count` threads; further calls wait for one. Thread-safe. The threads start with the first call, so that
    one may be made before a fork."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._executor: Executor | None = None
        self._lock = Lock()

    def run(self, call: Callable[[], Result]) -> Result:
        """Return what `call` returns, or raise what it raises. Other greenlets and threads run meanwhile.

        `call` must not wait for a greenlet: no lock, no queue, no socket.
        """
        return self._threads().submit(call).result()

    def _threads(self) -> Executor:
        with self._lock:
            if self._executor is None:
                patched = monkey.is_module_patched("threading")  # else the standard library's threads are real ones
                self._executor = (NativeExecutor if patched else ThreadPoolExecutor)(self._count)
            return self._executor

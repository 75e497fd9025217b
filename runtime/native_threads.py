"""Native threads for calls that block outside sockets, such as bcrypt, which would block all requests under gevent."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

from gevent import monkey
from gevent.threadpool import ThreadPoolExecutor as NativeExecutor

Result = TypeVar("Result")


class NativeThreads:
    """A pool of at most `count` threads; further calls wait. Thread-safe. The threads start with the first call, so it
    may be created before a fork."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._executor: Executor | None = None
        self._lock = Lock()

    def run(self, call: Callable[[], Result]) -> Result:
        """Run `call` in the pool; return its result or raise its exception. Other greenlets and threads run meanwhile.

        `call` must not wait for a greenlet, so it must not use locks, queues or sockets.
        """
        return self._threads().submit(call).result()

    def _threads(self) -> Executor:
        with self._lock:
            if self._executor is None:
                patched = monkey.is_module_patched("threading")  # otherwise the standard library's threads are native
                self._executor = (NativeExecutor if patched else ThreadPoolExecutor)(self._count)
            return self._executor

"""Connections to RabbitMQ's management API, shared by all requests of a process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

import requests

from gateway.tls import TlsFiles


class Busy(Exception):
    """All sessions were in use for too long."""


class Sessions:
    """At most `count` sessions of one connection each. Thread-safe; opens nothing before the first call, so that one
    made before a fork serves after it."""

    def __init__(self, count: int, patience: float, tls: TlsFiles) -> None:
        """A caller waits at most `patience` seconds for a session."""
        self._tls = tls
        self._free = BoundedSemaphore(count)
        self._patience = patience
        self._idle: deque[requests.Session] = deque()

    @contextmanager
    def borrowed(self) -> Iterator[requests.Session]:
        """A session that no other caller uses meanwhile: the one that was used last. Raises Busy."""
        if not self._free.acquire(timeout=self._patience):
            raise Busy
        try:
            session = self._idle.pop() if self._idle else self._opened()
            yield session
            self._idle.append(session)
        finally:
            self._free.release()

    def _opened(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False  # a proxy or netrc of the environment has no business with the broker
        session.verify, session.cert = self._tls.trusted, self._tls.shown
        return session

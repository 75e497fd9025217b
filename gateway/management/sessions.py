"""Connections to RabbitMQ's management API, shared by all requests of a process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

import requests

from gateway.tls import TlsFiles


class Busy(Exception):
    """No session became free in time."""


class Sessions:
    """A pool of at most `count` sessions with one connection each. Thread-safe. It opens no connection before the first
    call, so it may be created before a fork."""

    def __init__(self, count: int, patience: float, tls: TlsFiles) -> None:
        """A caller waits at most `patience` seconds for a session."""
        self._tls = tls
        self._free = BoundedSemaphore(count)
        self._patience = patience
        self._idle: deque[requests.Session] = deque()

    @contextmanager
    def borrowed(self) -> Iterator[requests.Session]:
        """Lend the most recently used idle session exclusively. Raises Busy."""
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
        session.trust_env = False  # proxies and netrc of the environment are not for the broker
        session.verify, session.cert = self._tls.trusted, self._tls.shown
        return session

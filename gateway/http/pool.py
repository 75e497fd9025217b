"""Idle connections to targets, by their place. All targets of a client share them."""

from __future__ import annotations

import socket
import time

from gateway.http.connection import Connection
from gateway.loop import Loop

MOST_IDLE = 1024
"""Maximum number of idle connections, over all places."""


class Pool:
    """Owned by the loop's thread. A connection that has been idle for `idle` seconds, or open for `age` seconds, is not
    used again."""

    def __init__(self, loop: Loop, age: float, idle: float) -> None:
        self._loop, self._age, self._longest = loop, age, idle
        self._idle: dict[str, dict[Connection, None]] = {}  # by place; in each, the last one was used last
        self._resting = 0
        self._open: set[Connection] = set()
        self._timed = False
        self.is_closed = False

    @property
    def busy(self) -> int:
        """Number of connections with a request."""
        return len(self._open) - self._resting

    def add(self, place: str, opened: socket.socket) -> Connection:
        """Return the connection of a socket that has just been connected to a place."""
        connection = Connection(self._loop, self, place, opened, time.monotonic())
        self._open.add(connection)
        return connection

    def take(self, place: str, now: float) -> Connection | None:
        """Return an idle connection to a place; None if there is none that may be used. The caller sends on it."""
        idle = self._idle.get(place)
        while idle:
            connection = idle.popitem()[0]
            self._resting -= 1
            if now <= connection.usable_until:
                connection.reused = True
                return connection
            connection.close()
        return None

    def rest(self, connection: Connection) -> None:
        """Keep a connection for the next request."""
        connection.usable_until = min(time.monotonic() + self._longest, connection.opened_at + self._age)
        self._idle.setdefault(connection.place, {})[connection] = None
        self._resting += 1
        if self._resting > MOST_IDLE:
            min((next(iter(idle)) for idle in self._idle.values() if idle), key=lambda one: one.usable_until).close()
        if not self._timed:
            self._timed = True
            self._loop.call_later(self._longest / 4, self._prune)

    def closed(self, connection: Connection) -> None:
        """Forget a connection that has been closed."""
        self._open.discard(connection)
        idle = self._idle.get(connection.place, {})
        if connection in idle:
            del idle[connection]
            self._resting -= 1

    def close(self) -> None:
        """Close all connections; their exchanges are not told."""
        self.is_closed = True
        for connection in list(self._open):
            connection.close()

    def _prune(self) -> None:
        now = time.monotonic()
        for connection in [one for idle in self._idle.values() for one in idle if now > one.usable_until]:
            connection.close()
        self._idle = {place: idle for place, idle in self._idle.items() if idle}
        self._timed = bool(self._idle)
        if self._timed:
            self._loop.call_later(self._longest / 4, self._prune)

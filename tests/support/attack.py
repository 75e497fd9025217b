"""Hostile HTTP clients: many connections that never finish a request, or never read an answer."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from selectors import EVENT_READ, DefaultSelector
from threading import Event, Thread
from typing import cast

HEAD = b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
GET = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
EVERY = 0.02
"""Seconds between two pieces of a connection that drips."""


@dataclass(frozen=True, slots=True)
class Attack:
    """A number of connections, each of which sends `begun`, then `piece` again and again. A connection that the server
    closes is replaced.
    """

    count: int
    begun: bytes
    piece: bytes = b""
    reads: bool = True


ATTACKS = {
    "Expect without a body": Attack(48, HEAD + b"Content-Length: 5000\r\nExpect: 100-continue\r\n\r\n"),
    "bodies that never come": Attack(200, HEAD + b"Content-Length: 5000\r\n\r\n"),
    "dripped one-byte chunks": Attack(24, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "requests without end": Attack(24, GET * 50, GET * 50),
    "bodies without end": Attack(24, HEAD + b"Content-Length: 1000000000000\r\n\r\n", b" " * 1_000_000),
    "half heads": Attack(800, HEAD),
    "idle keep-alive connections": Attack(1000, GET),
    "readers that do not read": Attack(100, b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 50, reads=False),
}


@contextmanager
def under(attack: Attack, port: int, context: ssl.SSLContext | None = None) -> Iterator[None]:
    """Attack the server on this port of 127.0.0.1 during the block, which starts when all connections are open."""
    with _Attackers(attack, port, context) as attackers:
        thread = Thread(target=attackers.go_on, daemon=True)
        thread.start()
        try:
            yield
        finally:
            attackers.over.set()
            thread.join()


class _Attackers:
    """The attackers' thread. It owns everything except `over`."""

    def __init__(self, attack: Attack, port: int, context: ssl.SSLContext | None) -> None:
        self.over = Event()
        self._attack, self._port, self._context = attack, port, context
        self._selector = DefaultSelector()

    def __enter__(self) -> _Attackers:
        for _ in range(self._attack.count):
            self._connect()
        return self

    def __exit__(self, *_: object) -> None:
        for key in list(self._selector.get_map().values()):
            cast("socket.socket", key.fileobj).close()
        self._selector.close()

    def go_on(self) -> None:
        while not self.over.wait(EVERY):
            if self._attack.reads:
                for key, _ in self._selector.select(0):
                    self._read(cast("socket.socket", key.fileobj))
            if self._attack.piece:
                for key in list(self._selector.get_map().values()):
                    with suppress(OSError):
                        cast("socket.socket", key.fileobj).send(self._attack.piece)

    def _connect(self) -> None:
        client = socket.socket()
        client.settimeout(30)
        if not self._attack.reads:  # a small window fills soon
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", self._port))
        if self._context is not None:
            client = self._context.wrap_socket(client, server_hostname="127.0.0.1")
        client.setblocking(False)
        with suppress(OSError):
            client.send(self._attack.begun)
        self._selector.register(client, EVENT_READ)

    def _read(self, client: socket.socket) -> None:
        try:
            closed = client.recv(65536) == b""
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            closed = True
        if closed:
            self._selector.unregister(client)
            client.close()
            with suppress(OSError):  # the server stops reading, as intended
                self._connect()

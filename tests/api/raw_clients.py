"""Clients that write HTTP by hand: half requests, many connections."""

from __future__ import annotations

import re
import socket
from contextlib import ExitStack

from tests.support.sockets import readable

HEAD = b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
GET = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"


def connections(stack: ExitStack, port: int, *begun: bytes) -> list[socket.socket]:
    """One client for each of `begun`, which it has sent."""
    made = []
    for part in begun:
        connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), 30))
        connection.sendall(part)
        made.append(connection)
    return made


def unanswered(connection: socket.socket) -> bool:
    """Whether it was sent nothing, and not closed."""
    return not readable([connection])


def read_statuses(connection: socket.socket, count: int) -> list[int]:
    """The statuses of so many answers."""
    received = b""
    while len(found := re.findall(rb"HTTP/1.1 (\d+) [^\0]*?\r\n\r\n[^\0]*?}\n", received)) < count:
        more = connection.recv(65536)
        assert more, received
        received += more
    return [int(status) for status in found]


def read_to_end(connection: socket.socket) -> bytes:
    """Everything until the server closes the connection."""
    received = b""
    while more := connection.recv(65536):
        received += more
    return received

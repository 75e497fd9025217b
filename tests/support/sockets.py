"""Sockets of clients that tests hold open."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from selectors import EVENT_READ, DefaultSelector
from typing import cast


def readable(connections: Iterable[socket.socket], seconds: float = 0) -> list[socket.socket]:
    """Return the sockets that were sent something or closed within these seconds. select(2) does not accept descriptors
    above 1,023, which a process of the whole suite has.
    """
    with DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, EVENT_READ)
        return [cast("socket.socket", key.fileobj) for key, _ in selector.select(seconds)]

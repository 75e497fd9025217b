"""Debian's redis-server as a process for tests."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

from tests.support.processes import Process, free_port
from tests.support.server import Server


class RedisNode(Server):
    """A Redis server. It is ready in a tenth of a second."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(directory), "--appendonly", "yes"]
        self.process = Process(["redis-server", *options], directory / "redis.log")

    def start(self) -> None:
        self.process.start()
        self.process.wait_ready(lambda: self._ask(b"PING\r\n").startswith(b"+PONG"), 60)

    def reset(self) -> None:
        """Start the server if necessary, and empty it."""
        if not self.process.running:
            self.start()
        assert self._ask(b"FLUSHALL\r\n").startswith(b"+OK")

    def _ask(self, command: bytes) -> bytes:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
            connection.sendall(command)
            return connection.recv(100)
        return b""

"""The interface of a server process for tests: start, stop, kill, restart."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from tests.support.processes import Process


class Server(ABC):
    """A server on fixed ports with persistent data. Use it from one thread at a time."""

    process: Process
    """The server's own: the one to signal."""

    @abstractmethod
    def start(self) -> None:
        """Start and wait until it answers."""

    def stop(self) -> None:
        """Stop it cleanly (SIGTERM) and keep its data."""
        self.process.stop()

    def kill(self) -> None:
        """Kill it (SIGKILL) and keep its data."""
        self.process.kill()

    def restart(self) -> None:
        """Stop it cleanly if it runs, and start it again with its data."""
        if self.process.running:
            self.stop()
        self.start()

    def shutdown(self) -> None:
        """Kill it and its children for good."""
        if self.process.running:
            self.process.kill()


One = TypeVar("One", bound=Server)


@contextmanager
def running(server: One) -> Iterator[One]:
    """Start the server and shut it down after the block."""
    try:
        server.start()
        yield server
    finally:
        server.shutdown()

"""A server that runs as a process of its own, as a test treats it: started, stopped, killed and started again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from tests.support.processes import Process


class Server(ABC):
    """Always on the same ports, with the same data. Used by one thread at a time."""

    process: Process
    """The server's own: the one to signal."""

    @abstractmethod
    def start(self) -> None:
        """Start and wait until it answers."""

    def stop(self) -> None:
        """End it cleanly (SIGTERM), data kept."""
        self.process.stop()

    def kill(self) -> None:
        """End it by SIGKILL, at once, data kept."""
        self.process.kill()

    def restart(self) -> None:
        """Stop it cleanly, if it still runs, and start it again with its data."""
        if self.process.running:
            self.stop()
        self.start()

    def shutdown(self) -> None:
        """Kill it and whatever it started; it is not used again."""
        if self.process.running:
            self.process.kill()


One = TypeVar("One", bound=Server)


@contextmanager
def running(server: One) -> Iterator[One]:
    """The server, started, until it is shut down."""
    try:
        server.start()
        yield server
    finally:
        server.shutdown()

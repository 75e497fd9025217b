"""What a connection needs of the line below it, and what the server offers on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Offer:
    """What the server offers a client: `frame_max` in bytes, `heartbeat` in seconds; and how long it waits, in seconds:
    `handshake_timeout` for the login, `close_timeout` for the answer to close, `send_timeout` for the client to read
    (RabbitMQ docs: networking).
    """

    frame_max: int = 131_072
    channel_max: int = 2047
    heartbeat: int = 60
    handshake_timeout: float = 10.0
    close_timeout: float = 10.0
    send_timeout: float = 30.0


class Line(Protocol):
    """The transport below a connection."""

    def flush_soon(self) -> None:
        """There is output to take with `Connection.take_output`."""

    def close_soon(self) -> None:
        """Close once the output is sent."""

    def expect_close(self) -> None:
        """The client is to close the line: close without it if that takes too long."""

    def block(self) -> None:
        """Read no more until `Connection.unblock`."""

    def tuned(self, heartbeat: int) -> None:
        """The handshake has settled the heartbeat, in seconds; 0 for none."""

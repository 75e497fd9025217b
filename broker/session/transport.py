"""The transport interface below a connection, and the limits that the server sets on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of a client's connection: `frame_max` in bytes, `heartbeat` in seconds. Timeouts in seconds:
    `handshake_timeout` for the login, `close_timeout` for close-ok, `send_timeout` for the client to read (RabbitMQ
    docs: networking).
    """

    frame_max: int = 131_072
    channel_max: int = 2047
    heartbeat: int = 60
    handshake_timeout: float = 10.0
    close_timeout: float = 10.0
    send_timeout: float = 30.0


class Transport(Protocol):
    """The transport below a connection."""

    def flush_soon(self) -> None:
        """Schedule a write of `Connection.take_output`."""

    def close_soon(self) -> None:
        """Close after sending the output."""

    def expect_close(self) -> None:
        """Wait for the client to close; close after `close_timeout`."""

    def block(self) -> None:
        """Stop reading until `Connection.unblock`."""

    def handshake_done(self, heartbeat: int) -> None:
        """End the login timeout and start heartbeats every `heartbeat` seconds, 0 for none."""

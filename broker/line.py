"""One TCP connection: bytes between asyncio and a `session.Connection`, timers, and limits on what piles up."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from broker.errors import AmqpError
from broker.protocol.content import HEARTBEAT_FRAME
from broker.session.connection import Connection
from broker.session.transport import Offer

if TYPE_CHECKING:
    from broker.server import Server

# Bytes: deliveries pause above the first; above the last, a client that reads nothing is not read from either.
OUTPUT_HIGH, OUTPUT_LOW, OUTPUT_MOST = 1_048_576, 262_144, 67_108_864

# Bytes that publishers may be ahead of the disk.
BACKLOG_MOST = 67_108_864


class Line(asyncio.Protocol):
    """A client's line. Runs in the loop's thread and belongs to it."""

    def __init__(self, server: Server, offer: Offer, tls: bool) -> None:
        self._server = server
        self._offer = offer
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._flushing = False
        self._closing = False
        self._paused = False
        self._heard_at = 0.0
        self._sent_at = 0.0
        self._beat: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._written = 0

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(OUTPUT_HIGH, OUTPUT_LOW)
        peer: Any = transport.get_extra_info("peername") or ("?", 0)
        local: Any = transport.get_extra_info("sockname") or ("?", 0)
        self.connection = Connection(self._server.core, self, self._offer, self._server.alarms, peer=(peer[0], peer[1]),
                                     local=(local[0], local[1]), tls=self._tls, now=time.time())  # fmt: skip
        self._server.admit(self)
        self._deadline = self._loop.call_later(self._offer.handshake_timeout, self._give_up)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._heard_at = self._loop.time()
        self.connection.receive(data, time.time())
        if self._transport.get_write_buffer_size() > OUTPUT_MOST:
            self._transport.pause_reading()
        elif self._server.backlog() > BACKLOG_MOST and not self._transport.is_closing():
            self._transport.pause_reading()
            self._server.core.journal.on_commit(self._resume_reading)

    def _resume_reading(self) -> None:
        if not self._transport.is_closing() and not self.connection.blocked:
            self._transport.resume_reading()

    def block(self) -> None:
        """See session.connection.Line."""
        self._transport.pause_reading()

    def unblock(self) -> None:
        """The alarm is over."""
        if self.connection.blocked:
            self.connection.unblock(time.time())
            self._resume_reading()

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._paused = True
        self.connection.output_open = False

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._paused = False
        self._resume_reading()
        self.connection.resume_output(time.time())

    def eof_received(self) -> bool:
        """See asyncio.Protocol: half-closed is closed."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        for timer in (self._beat, self._deadline, self._stall):
            if timer is not None:
                timer.cancel()
        self._server.dismiss(self)
        self.connection.end(time.time())

    # --- the session's side

    def flush_soon(self) -> None:
        """See session.connection.Line."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        data = self.connection.take_output()
        if data:
            self._sent_at = self._loop.time()
            self._write(data)
        if self._closing and not self.connection.holding:
            self._say_goodbye()
        elif not self._paused and not self.connection.output_open:
            self.connection.resume_output(time.time())

    def _write(self, data: bytes) -> None:
        self._transport.write(data)
        self._written += len(data)
        if self._stall is None and self._transport.get_write_buffer_size():
            self._watch_reader()

    def _watch_reader(self) -> None:
        self._stall = self._loop.call_later(self._offer.send_timeout, self._check_reader, self._taken())

    def _check_reader(self, taken: int) -> None:
        """Drop a client that has not read a byte since: its messages go back to their queues."""
        self._stall = None
        if not self._transport.get_write_buffer_size():
            return
        if self._taken() == taken:
            self.abort()
        else:
            self._watch_reader()

    def _taken(self) -> int:
        """Bytes that the client's side has taken so far."""
        return self._written - self._transport.get_write_buffer_size()

    def _say_goodbye(self) -> None:
        """Send no more, but read on until the client closes: a line closed with bytes unread is reset, and the client
        would lose what was sent last.
        """
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
            self._expire_in(self._offer.close_timeout)
        else:
            self._transport.close()

    def close_soon(self) -> None:
        """See session.connection.Line."""
        self._closing = True
        self.flush_soon()

    def expect_close(self) -> None:
        """See session.connection.Line."""
        self._expire_in(self._offer.close_timeout)

    def tuned(self, heartbeat: int) -> None:
        """See session.connection.Line. The client has logged in, and must be heard from."""
        if self._deadline is not None:
            self._deadline.cancel()
        if heartbeat:
            self._heartbeat(heartbeat)

    def _heartbeat(self, interval: int) -> None:
        """Send within half the interval, give up after two without a word (RabbitMQ docs: heartbeats)."""
        now = self._loop.time()
        if now - self._heard_at > 2 * interval and self._transport.is_reading():
            self._transport.abort()
            return
        if now - self._sent_at >= interval / 2 - 0.01:
            self._sent_at = now
            self._write(HEARTBEAT_FRAME)
        self._beat = self._loop.call_later(interval / 2, self._heartbeat, interval)

    def _expire_in(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self._loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        self._transport.abort()

    def shut(self, reason: str) -> None:
        """Tell the client that the connection is forced to close."""
        self.connection.shut(AmqpError(320, reason), time.time())

    def abort(self) -> None:
        """Drop the line at once."""
        self._transport.abort()

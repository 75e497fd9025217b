"""The asyncio protocol of one TCP connection: passes bytes to a `session.Connection`, runs its timers, limits its
buffers.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from amqp_wire.frames import HEARTBEAT_FRAME
from broker.errors import AmqpError
from broker.session.connection import Connection
from broker.session.transport import ConnectionLimits

if TYPE_CHECKING:
    from broker.server import Server

# Bytes of unsent output: deliveries pause above HIGH until LOW; above MAX, reading from the client stops too.
OUTPUT_HIGH, OUTPUT_LOW, OUTPUT_MAX = 1_048_576, 262_144, 67_108_864

# Bytes received and not yet on disk above which reading pauses.
BACKLOG_MAX = 67_108_864


class ClientSocket(asyncio.Protocol):
    """One client's TCP connection: the `session.transport.Transport` of its Connection. Belongs to the loop's
    thread.
    """

    def __init__(self, server: Server, limits: ConnectionLimits, tls: bool) -> None:
        self._server = server
        self._limits = limits
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._flushing = False
        self._closing = False
        self._paused = False
        self._received_at = 0.0
        self._sent_at = 0.0
        self._heartbeat_timer: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._progress_timer: asyncio.TimerHandle | None = None
        self._written = 0

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(OUTPUT_HIGH, OUTPUT_LOW)
        peer: Any = transport.get_extra_info("peername") or ("?", 0)
        local: Any = transport.get_extra_info("sockname") or ("?", 0)
        self.connection = Connection(self._server.core, self, self._limits, self._server.alarms,
                                     peer=(peer[0], peer[1]), local=(local[0], local[1]), tls=self._tls,
                                     now=time.time())  # fmt: skip
        self._server.add_client(self)
        self._deadline = self._loop.call_later(self._limits.handshake_timeout, self.abort)

    def data_received(self, data: bytes) -> None:
        self._received_at = self._loop.time()
        self.connection.receive(data, time.time())
        if self._transport.get_write_buffer_size() > OUTPUT_MAX:
            self._transport.pause_reading()
        elif self._server.backlog() > BACKLOG_MAX and not self._transport.is_closing():
            self._transport.pause_reading()
            self._server.core.journal.on_commit(self._resume_reading)

    def _resume_reading(self) -> None:
        if not self._transport.is_closing() and not self.connection.blocked:
            self._transport.resume_reading()

    def block(self) -> None:
        self._transport.pause_reading()

    def unblock(self) -> None:
        """Resume a blocked client after the last alarm was cleared."""
        if self.connection.blocked:
            self.connection.unblock(time.time())
            self._resume_reading()

    def pause_writing(self) -> None:
        self._paused = True
        self.connection.output_open = False

    def resume_writing(self) -> None:
        self._paused = False
        self._resume_reading()
        self.connection.resume_output(time.time())

    def eof_received(self) -> bool:
        """Close the connection when the client half-closes it."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._heartbeat_timer, self._deadline, self._progress_timer):
            if timer is not None:
                timer.cancel()
        self._server.remove_client(self)
        self.connection.end(time.time())

    # --- session.transport.Transport

    def flush_soon(self) -> None:
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
            self._half_close()
        elif not self._paused and not self.connection.output_open:
            self.connection.resume_output(time.time())

    def _write(self, data: bytes) -> None:
        self._transport.write(data)
        self._written += len(data)
        if self._progress_timer is None and self._transport.get_write_buffer_size():
            self._watch_progress()

    def _watch_progress(self) -> None:
        timeout = self._limits.send_timeout
        self._progress_timer = self._loop.call_later(timeout, self._check_progress, self._bytes_sent())

    def _check_progress(self, sent_before: int) -> None:
        """Drop a client that has not read a byte for `send_timeout`; its messages return to their queues."""
        self._progress_timer = None
        if not self._transport.get_write_buffer_size():
            return
        if self._bytes_sent() == sent_before:
            self.abort()
        else:
            self._watch_progress()

    def _bytes_sent(self) -> int:
        """Return the number of bytes handed to the kernel so far."""
        return self._written - self._transport.get_write_buffer_size()

    def _half_close(self) -> None:
        """Stop sending, but read until the client closes. The kernel resets a connection that is closed with unread
        bytes, and the client would lose the last frames.
        """
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
            self._expire_in(self._limits.close_timeout)
        else:
            self._transport.close()

    def close_soon(self) -> None:
        self._closing = True
        self.flush_soon()

    def expect_close(self) -> None:
        self._expire_in(self._limits.close_timeout)

    def handshake_done(self, heartbeat: int) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if heartbeat:
            self._heartbeat(heartbeat)

    def _heartbeat(self, interval: int) -> None:
        """Send a frame every half interval; drop a client that was silent for two intervals (RabbitMQ docs:
        heartbeats).
        """
        now = self._loop.time()
        if now - self._received_at > 2 * interval and self._transport.is_reading():
            self._transport.abort()
            return
        if now - self._sent_at >= interval / 2 - 0.01:
            self._sent_at = now
            self._write(HEARTBEAT_FRAME)
        self._heartbeat_timer = self._loop.call_later(interval / 2, self._heartbeat, interval)

    def _expire_in(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self._loop.call_later(seconds, self.abort)

    def force_close(self, reason: str) -> None:
        """Close the connection with 320 CONNECTION_FORCED and `reason`."""
        self.connection.close(AmqpError(320, reason), time.time())

    def abort(self) -> None:
        """Close the socket without sending the rest."""
        self._transport.abort()

"""One connection to RabbitMQ that comes back by itself, on the loop of the thread that owns it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pika
import structlog
from pika.adapters.select_connection import SelectConnection
from pika.frame import Body, Header, Method, decode_frame
from pika.spec import Basic

from delivery.backoff import reconnect_delay
from gateway.amqp.loop import Loop
from gateway.metrics.instruments import RECONNECTS

HEARTBEAT = 10
"""Seconds. A broker that stalls is noticed within two of them (https://www.rabbitmq.com/docs/heartbeats)."""

_LONGEST_ATTEMPT = 60.0
"""Seconds until a try to connect that has not ended is given up: pika forgets one for which it got no socket, as when
the process has too many files open."""

_SMALLEST_FRAME = 8
"""Bytes of a frame without payload: type, channel, size, end (AMQP 0-9-1 §4.2.3)."""

log = structlog.get_logger("workerrmq.amqp")


class _Connection(SelectConnection):  # type: ignore[misc]
    """pika's connection with shorter ways where each message goes: one write a turn of the loop, where pika makes one
    system call a frame; one cut of the input a read, where pika copies what is left after each frame; and frames of
    content straight to their channel, where pika looks for callbacks first, which these never have."""

    def __init__(self, loop: Loop, **callbacks: Any) -> None:
        self._loop = loop
        self._outgoing: list[bytes] = []
        super().__init__(custom_ioloop=loop, **callbacks)

    def _on_data_available(self, data_in: bytes) -> None:
        self._frame_buffer += data_in
        buffer, offset, available = self._frame_buffer, 0, len(self._frame_buffer)
        if buffer[:4] == b"AMQP":  # a protocol header: the broker speaks another version
            super()._on_data_available(b"")
            return
        try:
            while available - offset >= _SMALLEST_FRAME:
                end = offset + _SMALLEST_FRAME + int.from_bytes(buffer[offset + 3 : offset + 7], "big")
                if end > available:
                    break
                _, frame = decode_frame(buffer[offset:end])
                offset = end
                self._process_frame(frame)
        finally:
            self._trim_frame_buffer(offset)

    def _process_frame(self, frame_value: Any) -> None:
        kind = type(frame_value)
        if kind is Body or kind is Header or (kind is Method and type(frame_value.method) is Basic.Deliver):
            channel = self._channels.get(frame_value.channel_number)
            if channel is not None:
                self.frames_received += 1
                channel._handle_content_frame(frame_value)
                return
        super()._process_frame(frame_value)

    def _adapter_emit_data(self, data: bytes) -> None:
        if not self._outgoing:
            self._loop.at_turn_end(self._flush)
        self._outgoing.append(data)

    def write(self, frames: bytes) -> None:
        """Write whole frames at the end of this turn of the loop; the connection must be open."""
        self.bytes_sent += len(frames)
        self._adapter_emit_data(frames)

    def _flush(self) -> None:
        data, self._outgoing = b"".join(self._outgoing), []
        if self._transport is not None:
            super()._adapter_emit_data(data)


class Link:
    """Connects, and reconnects with backoff until `close`. Owned by the loop's thread, as all its callbacks are.

    `on_up(connection)` is called with each new open connection, `on_down(reason)` when one that was up is lost.
    """

    def __init__(
        self,
        loop: Loop,
        url: str,
        name: str,
        *,
        on_up: Callable[[Any], None],
        on_down: Callable[[str], None],
    ) -> None:
        self._loop, self._name = loop, name
        self._on_up, self._on_down = on_up, on_down
        self._parameters = pika.URLParameters(url)
        self._parameters.client_properties = {"connection_name": name, "product": "WorkerRMQ"}
        if "heartbeat=" not in urlsplit(url).query:
            self._parameters.heartbeat = HEARTBEAT
        self._parameters.socket_timeout = self._parameters.stack_timeout = HEARTBEAT
        self._connection: _Connection | None = None
        self._failures = 0
        self._lost_before = False
        self._closing = False
        self.up = False
        self.error: str | None = "not connected yet"

    def open(self) -> None:
        self._connection = connection = _Connection(
            self._loop,
            parameters=self._parameters,
            on_open_callback=self._opened,
            on_open_error_callback=self._failed,
            on_close_callback=self._lost,
        )
        self._loop.call_later(_LONGEST_ATTEMPT, lambda: self._overdue(connection))

    def _overdue(self, connection: _Connection) -> None:
        if connection is self._connection and not self.up and not connection.is_closing:
            connection.close()  # `_failed` follows

    def close(self) -> None:
        """Close for good; `on_down` is not called any more."""
        self._closing = True
        self.up = False
        if self._connection is not None and self._connection.is_open:
            self._connection.close()

    @property
    def closed(self) -> bool:
        """Whether nothing of the connection is left to wait for."""
        return self._connection is None or self._connection.is_closed

    def _opened(self, connection: Any) -> None:
        self._failures, self.error, self.up = 0, None, True
        if self._lost_before:
            RECONNECTS.labels(self._name).inc()
        log.info("broker_connected", connection=self._name)
        self._on_up(connection)

    def _failed(self, _connection: Any, reason: BaseException) -> None:
        self._retry(_sentence(reason))

    def _lost(self, _connection: Any, reason: BaseException) -> None:
        was_up, self.up = self.up, False
        if was_up and not self._closing:
            self._lost_before = True
            self._on_down(_sentence(reason))
        self._retry(_sentence(reason))

    def _retry(self, reason: str) -> None:
        self._connection = None
        if self._closing:
            return
        self.error = reason
        delay = reconnect_delay(self._failures, random.random())
        if self._failures in (0, 10) or self._failures % 100 == 0:
            log.warning(
                "broker_connection_lost", connection=self._name, reason=reason, retry_in_seconds=round(delay, 2)
            )
        self._failures += 1
        self._loop.call_later(delay, self._reopen)

    def _reopen(self) -> None:
        if not self._closing:
            self.open()


def _sentence(reason: BaseException) -> str:
    """pika nests the reason of a failed connect; the innermost says most. Its words hold no credentials."""
    inner: Any = reason
    while True:
        nested = getattr(inner, "exceptions", None) or getattr(inner, "exception", None) or inner.args
        nested = nested[-1] if isinstance(nested, tuple) and nested else nested
        if not isinstance(nested, BaseException):
            break
        inner = nested
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    if getattr(inner, "reply_text", None):
        return f"{inner.reply_code} {inner.reply_text}"
    return str(inner.args[0]) if inner.args else type(inner).__name__

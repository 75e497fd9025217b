"""All uses of pika's private names; tests/unit/test_pika_private.py lists the names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pika.adapters.select_connection import SelectConnection
from pika.frame import Body, Header, Method, decode_frame
from pika.spec import Basic

from gateway.loop import Loop

_SMALLEST_FRAME = 8
"""Bytes of a frame without payload: type, channel, size, end (AMQP 0-9-1 §4.2.3)."""


def cancel(channel: Any, consumer_tag: str, cancelled: Callable[[], None]) -> None:
    """Cancel a consumer, and continue to receive its messages until the broker confirms; then call `cancelled`.

    By default pika rejects those messages. Each reject counts towards the delivery limit of a quorum queue, so that the
    queue could drop a message that was never sent to its target.
    """
    channel.basic_cancel(consumer_tag, callback=lambda _frame: cancelled())
    channel._cancelled.discard(consumer_tag)


class LoopConnection(SelectConnection):  # type: ignore[misc]
    """pika's connection with a shorter path for messages.

    It writes once per turn of the loop, where pika makes a system call per frame. It trims the input buffer once per
    read, where pika copies the rest after each frame. It passes content frames directly to their channel, where pika
    first looks up callbacks, which such frames never have.
    """

    def __init__(self, **options: Any) -> None:
        self._outgoing: list[bytes] = []
        super().__init__(**options)
        self._loop: Loop = self.ioloop

    def _on_data_available(self, data_in: bytes) -> None:
        self._frame_buffer += data_in
        buffer, offset, available = self._frame_buffer, 0, len(self._frame_buffer)
        if buffer[:4] == b"AMQP":  # a protocol header: the broker requires another version
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
        """Write complete frames at the end of this turn of the loop. The connection must be open."""
        self.bytes_sent += len(frames)
        self._adapter_emit_data(frames)

    def _flush(self) -> None:
        data, self._outgoing = b"".join(self._outgoing), []
        if self._transport is not None:
            super()._adapter_emit_data(data)

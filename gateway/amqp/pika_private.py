"""What the service uses of pika that is not public; tests/unit/test_pika_private.py names each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pika import BlockingConnection
from pika.adapters.select_connection import SelectConnection
from pika.exceptions import InvalidFrameError
from pika.frame import Header, decode_frame

from amqp_wire.deliveries import DeliveredMessage, DeliveryReader
from amqp_wire.frames import CONTENT, FRAME, FRAME_END, HEADER
from amqp_wire.properties import ReceivedProperties
from gateway.loop import Loop


def cancel(channel: Any, consumer_tag: str, cancelled: Callable[[], None]) -> None:
    """Cancel a consumer, and go on to receive what the broker sends it until then.

    pika would reject those messages by itself. That uses up a delivery of a quorum queue's delivery limit without
    anybody having looked at it, so at the limit the message would be dropped.
    """
    channel.basic_cancel(consumer_tag, callback=lambda _frame: cancelled())
    channel._cancelled.discard(consumer_tag)


def blocking_connection(parameters: Any) -> BlockingConnection:
    """Connect as pika.BlockingConnection does, with properties decoded by our own codec."""
    return BlockingConnection(parameters, _impl_class=WireConnection)


class WireConnection(SelectConnection):  # type: ignore[misc]
    """pika's connection, except that amqp_wire decodes the properties of messages.

    pika loses the widths of numbers, cuts floats down to integers, and closes the connection over a time that datetime
    cannot hold and over headers that are nested deeper than Python's stack, again and again for the same message.
    """

    def _read_frame(self) -> tuple[int, Any]:
        return read_frame(self._frame_buffer)


def read_frame(data: bytes) -> tuple[int, Any]:
    """Return the size of the frame at the beginning of `data`, and the frame as an object of pika's; 0 and None if it
    is not complete. Raises what pika raises, and MalformedProperties."""
    if len(data) < FRAME.size or data[0] != HEADER:
        return decode_frame(data)  # type: ignore[no-any-return]
    _, channel, length = FRAME.unpack_from(data)
    end = FRAME.size + length
    if len(data) < end + len(FRAME_END):
        return 0, None
    if data[end : end + 1] != FRAME_END:
        raise InvalidFrameError("Invalid FRAME_END marker")
    _, _, size = CONTENT.unpack_from(data, FRAME.size)
    return end + len(FRAME_END), Header(channel, size, ReceivedProperties(data[FRAME.size + CONTENT.size : end]))


class LoopConnection(WireConnection):
    """A connection with a shorter path for messages.

    It writes once for each turn of the loop, where pika makes a system call for each frame. It cuts the input once for
    each read, where pika copies the rest after each frame. Deliveries go straight to the callback of their consumer,
    where pika makes an object of each frame and of each method, and looks for callbacks that these never have.
    """

    def __init__(self, **options: Any) -> None:
        self._outgoing: list[bytes] = []
        self._reader = DeliveryReader()
        super().__init__(**options)
        self._loop: Loop = self.ioloop

    def _on_data_available(self, data_in: bytes) -> None:
        self.bytes_received += len(data_in)
        self._reader.feed(data_in)
        while (item := self._reader.next()) is not None:
            if isinstance(item, DeliveredMessage):
                self._deliver(item)
            else:
                self._process_frame(read_frame(item)[1])

    def _deliver(self, message: DeliveredMessage) -> None:
        """Do as pika's channel does. It does not know the consumer if the broker has cancelled it; what is not settled
        then goes back with the channel."""
        channel = self._channels.get(message.channel)
        if channel is None:
            return
        if message.consumer_tag in channel._cancelled:
            if channel.is_open:
                channel.basic_reject(message.delivery_tag)
        elif message.consumer_tag in channel._consumers:
            channel._consumers[message.consumer_tag](channel, message, message.properties, message.body)

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

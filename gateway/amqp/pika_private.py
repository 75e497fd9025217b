"""All uses of pika's private names; tests/unit/test_pika_private.py lists the names."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pika import BlockingConnection
from pika.adapters.select_connection import SelectConnection
from pika.adapters.utils.io_services_utils import _AsyncPlaintextTransport
from pika.exceptions import InvalidFrameError
from pika.frame import Header, decode_frame

from amqp_wire.deliveries import DeliveredMessage, DeliveryReader
from amqp_wire.frames import CONTENT, FRAME, FRAME_END, HEADER
from amqp_wire.properties import ReceivedProperties
from gateway.loop import Loop


def cancel(channel: Any, consumer_tag: str, cancelled: Callable[[], None]) -> None:
    """Cancel a consumer, and continue to receive its messages until the broker confirms; then call `cancelled`.

    By default pika rejects those messages. Each reject counts towards the delivery limit of a quorum queue, so that the
    queue could drop a message that was never sent to its target.
    """
    channel.basic_cancel(consumer_tag, callback=lambda _frame: cancelled())
    channel._cancelled.discard(consumer_tag)


def blocking_connection(parameters: Any) -> BlockingConnection:
    """Return a pika.BlockingConnection whose properties our own codec decodes."""
    return BlockingConnection(parameters, _impl_class=WireConnection)


class WireConnection(SelectConnection):  # type: ignore[misc]
    """pika's connection, except that amqp_wire decodes the properties of messages.

    pika loses the widths of numbers and truncates floats to integers. It closes the connection for a time that datetime
    cannot represent and for headers nested deeper than Python's stack, on each delivery of the message.
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

    It writes once per turn of the loop, at once if the socket can take it, where pika makes a system call per frame and
    waits for the loop before each. It reads up to 64 KiB at once, where pika reads 4 KiB. It trims the input once per
    read, where pika copies the rest after each frame. It passes deliveries directly to the callback of their consumer,
    where pika creates an object for each frame and method, and looks up callbacks that deliveries never have.
    """

    def __init__(self, **options: Any) -> None:
        self._outgoing: list[bytes] = []
        self._reader = DeliveryReader()
        super().__init__(**options)
        self._loop: Loop = self.ioloop

    def _proto_connection_made(self, transport: Any) -> None:
        transport._MAX_RECV_BYTES = 64 * 1024
        super()._proto_connection_made(transport)

    def _on_data_available(self, data_in: bytes) -> None:
        self.bytes_received += len(data_in)
        self._reader.feed(data_in)
        while (item := self._reader.next()) is not None:
            if isinstance(item, DeliveredMessage):
                self._deliver(item)
            else:
                self._process_frame(read_frame(item)[1])

    def _deliver(self, message: DeliveredMessage) -> None:
        """Call the consumer's callback, or reject the message if its consumer was cancelled, as pika's channel does. If
        the broker has cancelled the consumer, its messages are requeued when the channel closes."""
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
        """Write complete frames at the end of this turn of the loop. The connection must be open."""
        self.bytes_sent += len(frames)
        self._adapter_emit_data(frames)

    def _flush(self) -> None:
        data, self._outgoing = b"".join(self._outgoing), []
        transport = self._transport
        if isinstance(transport, _AsyncPlaintextTransport) and transport._state == transport._STATE_ACTIVE:
            with suppress(OSError):  # pika reports it, if it is not that the socket's buffer is full
                data = data if transport.get_write_buffer_size() else data[transport._sock.send(data) :]
        if data and transport is not None:
            super()._adapter_emit_data(data)

"""The server's side of one connection, without I/O: `receive` turns bytes into events, the other methods encode
frames.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from pamqp import base
from pamqp.commands import Basic, Channel, Connection

from amqp_wire.frames import BODY, FRAME, HEADER, HEARTBEAT, METHOD, content_frames, method_frame
from broker.errors import AmqpError
from broker.protocol.content import MAX_MESSAGE_SIZE, Assembly
from broker.protocol.events import Ack, Event, Greeting, Method, Mismatch, Publish, Violation
from broker.protocol.methods import decode_method, encode_method
from broker.protocol.states import ChannelState, ConnectionState, next_channel_state, next_connection_state

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
# RabbitMQ also takes these older spellings (rabbit_reader).
_ACCEPTED = {PROTOCOL_HEADER, b"AMQP\x01\x01\x09\x01", b"AMQP\x01\x01\x00\x09", b"AMQP\x01\x01\x08\x00"}

FRAME_MIN = 4096

# Bytes of incomplete bodies on all channels of a connection together.
MAX_ASSEMBLED = 2 * MAX_MESSAGE_SIZE

_PUBLISH = 0x003C0028
_ACK = 0x003C0050
_INDEX = struct.Struct(">I")
_ACK_ARGUMENTS = struct.Struct(">Q?")


class ServerConnection:
    """The protocol state of one client's connection and its channels, with the content being received.

    `frame_max` (bytes) and `channel_max` hold the negotiated values.
    """

    def __init__(self) -> None:
        self.state = ConnectionState.GREETING
        self.frame_max = FRAME_MIN  # until tune-ok (AMQP 0-9-1 §4.2.3; rabbit_reader)
        self.channel_max = 2047
        self.frames_in = 0
        self._channels: dict[int, ChannelState] = {}
        self._assemblies: dict[int, Assembly] = {}
        self._buffer = bytearray()
        self._needed = 8

    def receive(self, data: bytes) -> Iterator[Event]:
        """Yield the events that `data` completes, one at a time: each is checked in the state that the last one left.

        The caller must take all of them. After a hard Violation or a Mismatch nothing more is read.
        """
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._needed:
                return
            data = bytes(self._buffer)
            self._buffer.clear()
        at = 0
        if self.state is ConnectionState.GREETING:
            if len(data) < 8 and PROTOCOL_HEADER.startswith(data[:4]):
                self._buffer += data
                return
            yield self._read_protocol_header(data[:8])
            at = 8
        yield from self._frames(data, at)

    def _read_protocol_header(self, header: bytes) -> Event:
        if header in _ACCEPTED:
            self.state = ConnectionState.STARTING
            return Greeting()
        self.state = ConnectionState.CLOSED
        return Mismatch()

    def _frames(self, data: bytes, at: int) -> Iterator[Event]:
        size = len(data)
        self._needed = 7
        while size - at >= 7 and self.state is not ConnectionState.CLOSED:
            kind, channel, length = FRAME.unpack_from(data, at)
            end = at + 7 + length
            # The overhead should count, but RabbitMQ ignores it, and some clients rely on that.
            if length > self.frame_max:
                yield self._fail(channel, AmqpError(501, f"frame of {length} bytes, limit {self.frame_max}"), 0)
                return
            if end >= size:
                self._needed = end + 1 - at
                break
            if data[end] != 0xCE:
                yield self._fail(channel, AmqpError(501, "frame end octet missing"), 0)
                return
            self.frames_in += 1
            index = _INDEX.unpack_from(data, at + 7)[0] if kind == METHOD and length >= 4 else 0
            try:
                event = self._frame(kind, channel, index, data[at + 7 : end])
            except AmqpError as error:
                event = self._fail(channel, error, index)
            if event is not None:
                yield event
            at = end + 1
        if self.state is not ConnectionState.CLOSED:
            self._buffer += data[at:]

    def _fail(self, channel: int, error: AmqpError, index: int) -> Violation:
        self._assemblies.pop(channel, None)
        return Violation(channel, error, index >> 16, index & 0xFFFF)

    def _frame(self, kind: int, channel: int, index: int, payload: bytes) -> Event | None:
        if kind == METHOD:
            return self._method(channel, index, payload)
        if kind == HEARTBEAT:
            if payload:
                raise AmqpError(501, "a heartbeat frame must be empty")
            if channel:
                raise AmqpError(505, "heartbeat on a channel other than 0")
            return None
        if kind not in (HEADER, BODY):
            raise AmqpError(501, f"unknown frame type {kind}")
        if self.state is not ConnectionState.OPEN:
            return None if self.state is ConnectionState.CLOSING else self._unexpected()
        assembly = self._assemblies.get(channel)
        if assembly is None:
            state = self._channels.get(channel, ChannelState.CLOSED)
            return None if state is ChannelState.CLOSING else self._unexpected()
        if kind == HEADER:
            complete = assembly.header(payload)
        else:
            complete = assembly.body(payload)
            if not complete and sum(other.size for other in self._assemblies.values()) > MAX_ASSEMBLED:
                raise AmqpError(506, "too many large messages at once, on too many channels")
        if not complete:
            return None
        del self._assemblies[channel]
        return Publish(channel, assembly.exchange, assembly.routing_key, assembly.mandatory, assembly.immediate,
                       assembly.properties or b"\0\0", assembly.content())  # fmt: skip

    @staticmethod
    def _unexpected() -> None:
        raise AmqpError(505, "expected method frame, got non method frame instead")

    def _method(self, channel: int, index: int, payload: bytes) -> Event | None:
        if not channel:
            return self._connection_method(payload)
        if self.state is ConnectionState.CLOSING:
            return None
        if self.state is not ConnectionState.OPEN:
            raise AmqpError(503, "channel method before the connection is open")
        state = self._channels.get(channel, ChannelState.CLOSED)
        if channel in self._assemblies:
            awaited = "header" if self._assemblies[channel].properties is None else "body"
            kind = "content header for class 60" if awaited == "header" else "content body"
            raise AmqpError(505, f"expected {kind}, got non content {awaited} frame instead")
        if state is ChannelState.OPEN:
            if index == _PUBLISH:
                self._assemblies[channel] = Assembly(payload)
                return None
            if index == _ACK and len(payload) == 13:
                return Ack(channel, *_ACK_ARGUMENTS.unpack_from(payload, 4))
        method = decode_method(payload)
        return self._channel_method(channel, state, method)

    def _connection_method(self, payload: bytes) -> Event | None:
        method = decode_method(payload)
        if self.state is ConnectionState.CLOSING and not isinstance(method, (Connection.Close, Connection.CloseOk)):
            return None
        self.state = next_connection_state(self.state, type(method))
        return Method(0, method)

    def _channel_method(self, channel: int, state: ChannelState, method: base.Frame) -> Event | None:
        if type(method).index >> 16 == Connection.frame_id:
            raise AmqpError(503, f"{method.name} on channel {channel}")
        after = next_channel_state(state, type(method))
        if state is ChannelState.CLOSED and after is ChannelState.OPEN:
            self._check_channel_max()
        if after is ChannelState.CLOSED:
            self._channels.pop(channel, None)
        else:
            self._channels[channel] = after
        ignored = state is ChannelState.CLOSING and not isinstance(method, Channel.Close)
        return None if ignored or isinstance(method, Channel.CloseOk) else Method(channel, method)

    def _check_channel_max(self) -> None:
        if self.channel_max and len(self._channels) >= self.channel_max:
            raise AmqpError(530, f"number of channels opened ({len(self._channels)}) has reached the negotiated "
                                 f"channel_max ({self.channel_max})")  # fmt: skip

    def send(self, channel: int, method: type[base.Frame], *values: Any) -> bytes:
        """Encode a method of the server as a frame."""
        return method_frame(channel, encode_method(method, *values))

    def send_content(self, channel: int, payload: bytes, properties: bytes, body: bytes) -> bytes:
        """Encode a method that carries a message as frames."""
        return content_frames(channel, payload, properties, body, self.frame_max)

    def close_channel(self, channel: int, error: AmqpError, class_id: int = 0, method_id: int = 0) -> bytes:
        """Encode channel.close and ignore everything on the channel until close-ok."""
        self._channels[channel] = ChannelState.CLOSING
        self._assemblies.pop(channel, None)
        return self.send(channel, Channel.Close, error.code, error.reply_text, class_id, method_id)

    def close(self, error: AmqpError, class_id: int = 0, method_id: int = 0) -> bytes:
        """Encode connection.close and ignore all input until close-ok."""
        self.state = ConnectionState.CLOSING
        self._channels.clear()
        self._assemblies.clear()
        return self.send(0, Connection.Close, error.code, error.reply_text, class_id, method_id)

    def forget_channel(self, channel: int) -> None:
        """Drop the state of a channel that both sides have closed."""
        self._channels.pop(channel, None)
        self._assemblies.pop(channel, None)


def return_payload(error: AmqpError, exchange: str, routing_key: str) -> bytes:
    """Encode basic.return (AMQP 0-9-1 §1.8.3.10). RabbitMQ's reply text is the bare name."""
    return encode_method(Basic.Return, error.code, error.text, exchange, routing_key)

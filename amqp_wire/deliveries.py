"""Splits the bytes from a broker into deliveries and other frames, in one pass; no I/O.

A delivery is a basic.deliver method with its header and its body (AMQP 0-9-1 §1.8.3.13, §4.2.6). Frames of other
channels may lie between them.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from amqp_wire.frames import BASIC, BODY, CONTENT, FRAME, FRAME_END, FRAME_OVERHEAD, HEADER, METHOD
from amqp_wire.properties import ReceivedProperties
from amqp_wire.values import text

_DELIVER = struct.pack(">HH", BASIC, 60)
_TAG = struct.Struct(">Q?")
_WHOLE_HEADER = struct.Struct(FRAME.format + CONTENT.format.lstrip(">"))
_PROTOCOL_HEADER = b"AMQP"
_END = FRAME_END[0]
_name = lru_cache(maxsize=1024)(text)  # most deliveries have the same names as those before


class MalformedContent(ValueError):
    """The bytes are not valid frames, or not the frames of a delivery."""


class DeliveredMessage:
    """A message that the broker delivered. It is complete when its whole body has arrived."""

    __slots__ = ("_missing", "_parts", "body", "channel", "consumer_tag", "delivery_tag", "exchange", "properties",
                 "redelivered", "routing_key")  # fmt: skip

    properties: ReceivedProperties

    def __init__(self, channel: int, data: bytes, at: int, end: int) -> None:
        """Parse the arguments of basic.deliver in `data`. Raises MalformedContent."""
        self.channel = channel
        self.body = b""
        self._missing = -1  # no header frame yet
        self._parts: list[bytes] = []
        try:
            stop = at + 1 + data[at]
            self.consumer_tag = _name(data[at + 1 : stop])
            self.delivery_tag, self.redelivered = _TAG.unpack_from(data, stop)
            at = stop + _TAG.size
            stop = at + 1 + data[at]
            self.exchange = _name(data[at + 1 : stop])
            at = stop + 1 + data[stop]
            self.routing_key = _name(data[stop + 1 : at])
        except (IndexError, struct.error):
            at = -1
        if at != end:
            raise MalformedContent("the arguments of basic.deliver are malformed")

    def take(self, data: bytes, at: int) -> int:
        """Read the header frame and the only body frame, if both are at `at`, as is usual. Return the place after
        them; 0 if `add` must read the frames, or refuse them. Raises MalformedProperties."""
        if len(data) - at < _WHOLE_HEADER.size:
            return 0
        kind, channel, length, _, _, size = _WHOLE_HEADER.unpack_from(data, at)
        end = at + FRAME.size + length
        body = end + FRAME_OVERHEAD
        stop: int = body + size
        if (
            not size
            or stop >= len(data)
            or (kind, channel) != (HEADER, self.channel)
            or FRAME.unpack_from(data, end + 1) != (BODY, channel, size)
            or not data[end] == data[stop] == _END
        ):
            return 0
        self.properties = ReceivedProperties(data[at + _WHOLE_HEADER.size : end])
        self.body = data[body:stop]
        return stop + 1

    def add(self, kind: int, data: bytes, at: int, end: int) -> bool:
        """Add a header or body frame; return whether the message is complete. Raises MalformedContent and
        MalformedProperties."""
        if kind == HEADER and self._missing < 0:
            if end - at < CONTENT.size:
                raise MalformedContent("content header frame cut short")
            _, _, self._missing = CONTENT.unpack_from(data, at)
            self.properties = ReceivedProperties(data[at + CONTENT.size : end])
            return not self._missing
        if kind != BODY or end - at > self._missing:
            raise MalformedContent("the frames of a delivery are not its header and its body")
        self._missing -= end - at
        part = data[at:end]
        if self._missing:
            self._parts.append(part)
            return False
        self.body = b"".join((*self._parts, part)) if self._parts else part
        return True


class DeliveryReader:
    """Buffers the input of one connection and parses it."""

    def __init__(self) -> None:
        self._data = b""
        self._at = 0
        self._arriving: dict[int, DeliveredMessage] = {}  # by channel

    def feed(self, data: bytes) -> None:
        """Add bytes that arrived."""
        self._data = self._data[self._at :] + data if self._at < len(self._data) else data
        self._at = 0

    def next(self) -> DeliveredMessage | bytes | None:
        """Return the next delivery, or the next frame that is not part of one; None if neither is complete. Raises
        MalformedContent and MalformedProperties."""
        data = self._data
        while len(data) - self._at >= FRAME_OVERHEAD:
            start = self._at + FRAME.size
            kind, channel, length = FRAME.unpack_from(data, self._at)
            end = start + length
            if end >= len(data):
                return self._protocol_header()
            if data[end] != _END:
                raise MalformedContent("frame end octet missing")
            frame, self._at = self._at, end + 1
            if kind == METHOD and data.startswith(_DELIVER, start):
                message = DeliveredMessage(channel, data, start + len(_DELIVER), end)
                whole = message.take(data, self._at)
                if whole:
                    self._at = whole
                    return message
                self._arriving[channel] = message
            elif channel in self._arriving and kind != METHOD:
                message = self._arriving[channel]
                if message.add(kind, data, start, end):
                    del self._arriving[channel]
                    return message
            else:
                return data[frame : self._at]
        return None

    def _protocol_header(self) -> bytes | None:
        """Return the broker's protocol header, which has no frame end; None for other bytes. A broker sends it if it
        does not support AMQP 0-9-1 (§4.2.2)."""
        if not self._data.startswith(_PROTOCOL_HEADER, self._at):
            return None
        start, self._at = self._at, self._at + FRAME_OVERHEAD
        return self._data[start : self._at]

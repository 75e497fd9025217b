"""Encodes a message as the bytes of its frames: basic.publish, header, body (AMQP 0-9-1 §2.3.5, §4.2).

It replaces pika's encoding, which creates an object for each frame and writes the frames one by one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

import pika.data

import gateway.amqp.properties  # noqa: F401 - fixes pika's encoding of header values
from domain.message import Message, Properties

_FRAME = struct.Struct(">BHI")
_END = b"\xce"
_OVERHEAD = _FRAME.size + len(_END)
_METHOD, _HEADER, _BODY = 1, 2, 3
_BASIC, _PUBLISH = 60, 40
_PUBLISH_HEAD, _MANDATORY = struct.pack(">HHH", _BASIC, _PUBLISH, 0), b"\x01"
_CONTENT_HEAD = struct.Struct(">HHQH")


def publish_frames(channel: int, frame_max: int, message: Message) -> bytes:
    """Return the frames that publish a message on a channel, mandatory; `frame_max` is in bytes, 0 means no limit.

    Raises ValueError if the header does not fit into one frame: a header is never split (§4.2.6), and the broker closes
    the connection, with the messages of all clients, for a frame that is too large. Also raises the errors of encoding
    for values that no table can hold: ValueError, TypeError, struct.error, and pika's AMQPError.
    """
    body, (flags, properties) = message.body, encoded(message.properties)
    if 0 < frame_max < len(properties) + _CONTENT_HEAD.size + _OVERHEAD:
        size = len(properties) + _CONTENT_HEAD.size + _OVERHEAD
        raise ValueError(f"its properties and headers take {size} bytes, but a frame has at most {frame_max}")
    method = b"".join((_PUBLISH_HEAD, _short(message.exchange), _short(message.routing_key), _MANDATORY))
    header = _CONTENT_HEAD.pack(_BASIC, 0, len(body), flags) + properties
    frames = [
        _FRAME.pack(_METHOD, channel, len(method)), method, _END,
        _FRAME.pack(_HEADER, channel, len(header)), header, _END,
    ]  # fmt: skip
    most = frame_max - _OVERHEAD if frame_max else max(1, len(body))
    for start in range(0, len(body), most):
        part = body[start : start + most] if len(body) > most else body
        frames += _FRAME.pack(_BODY, channel, len(part)), part, _END
    return b"".join(frames)


def encoded(given: Properties) -> tuple[int, bytes]:
    """Return the property flags, and the encoded properties that are set."""
    flags, parts = 0, []
    for value, (flag, encode) in zip(_values(given), _ENCODERS, strict=True):
        if value is not None:
            flags |= flag
            parts.append(encode(value))
    return flags, b"".join(parts)


def _short(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text  # a received text that is not UTF-8 is bytes
    if len(raw) > 255:  # §4.2.5.3
        raise ValueError(f"a short string has at most 255 bytes, but {text[:40]!r}… has {len(raw)}")
    return len(raw).to_bytes(1) + raw


def _table(headers: Mapping[str, Any]) -> bytes:
    parts: list[bytes] = []
    pika.data.encode_table(parts, headers)
    return b"".join(parts)


_octet, _timestamp = struct.Struct("B").pack, struct.Struct(">Q").pack
_PROPERTIES: dict[str, Callable[[Any], bytes]] = {
    "content_type": _short,
    "content_encoding": _short,
    "headers": _table,
    "delivery_mode": _octet,
    "priority": _octet,
    "correlation_id": _short,
    "reply_to": _short,
    "expiration": _short,
    "message_id": _short,
    "timestamp": _timestamp,
    "type": _short,
    "user_id": _short,
    "app_id": _short,
    "cluster_id": _short,
}
"""In the order of §1.8.3.1, which is the order of the flags from the highest bit down."""

_values = attrgetter(*_PROPERTIES)
_ENCODERS = [(1 << 15 - place, encode) for place, encode in enumerate(_PROPERTIES.values())]

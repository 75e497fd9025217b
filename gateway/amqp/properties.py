"""Header values as pika reads and writes them, mended where the two do not match: a copy must carry what came."""

from __future__ import annotations

import struct
import threading
from typing import Any

import pika.data

_encode_value = pika.data.encode_value
_decode_value = pika.data.decode_value

_NESTED = (b"A", b"F")


_DEEPEST = 50
"""Tables and arrays within one another that are read. RabbitMQ sets no limit, Python's stack does, and who reaches it
loses the connection, again and again, over one message."""

_depth = threading.local()


class _Instant(int):
    """A time beyond datetime's calendar, in Unix seconds."""


class _Unread(bytes):
    """A table or array that lies too deep, as it came."""


def _encode_any_value(pieces: list[bytes], value: Any) -> int:
    """pika decodes doubles (AMQP 0-9-1 §4.2.1, type d) but does not encode them."""
    if isinstance(value, float):
        pieces.append(struct.pack(">cd", b"d", value))
        return 9
    if isinstance(value, _Unread):
        pieces.append(bytes(value))
        return len(value)
    if isinstance(value, _Instant):
        pieces.append(struct.pack(">cQ", b"T", value))
        return 9
    return int(_encode_value(pieces, value))


def _decode_any_value(encoded: bytes, offset: int) -> tuple[Any, int]:
    """pika cuts floats down to integers, and drops the connection over a time that datetime cannot hold."""
    kind, start = encoded[offset : offset + 1], offset + 1
    if kind == b"d":
        return struct.unpack_from(">d", encoded, start)[0], start + 8
    if kind == b"f":
        return struct.unpack_from(">f", encoded, start)[0], start + 4
    if kind in _NESTED:
        return _decode_nested(encoded, offset)
    try:
        value, end = _decode_value(encoded, offset)
    except (ValueError, OverflowError, OSError):
        if kind != b"T":
            raise
        return _Instant(struct.unpack_from(">Q", encoded, start)[0]), start + 8
    return value, int(end)


def _decode_nested(encoded: bytes, offset: int) -> tuple[Any, int]:
    depth = getattr(_depth, "now", 0)
    if depth == _DEEPEST:
        end = offset + 5 + int.from_bytes(encoded[offset + 1 : offset + 5], "big")
        return _Unread(encoded[offset:end]), end
    _depth.now = depth + 1
    try:
        value, end = _decode_value(encoded, offset)
        return value, int(end)
    finally:
        _depth.now = depth


pika.data.encode_value = _encode_any_value
pika.data.decode_value = _decode_any_value

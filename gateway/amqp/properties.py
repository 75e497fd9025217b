"""Fixes pika's encoding and decoding of header values where they do not match, so that copies keep the values."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from typing import Any

import pika.data

_encode_value = pika.data.encode_value
_decode_value = pika.data.decode_value

_NESTED = (b"A", b"F")

_DEEPEST = 50
"""Maximum depth of nested tables and arrays. RabbitMQ sets no limit, but Python's stack does: a message that exceeds it
would close the connection on each delivery. The embedded broker accepts 63 levels."""

_depth = threading.local()


class _Instant(int):
    """A time that datetime cannot represent, in Unix seconds."""


class _Unread(bytes):
    """The undecoded bytes of a table or array beyond the maximum depth."""


def _encode_any_value(pieces: list[bytes], value: Any) -> int:
    """Encode any value. pika decodes doubles (AMQP 0-9-1 §4.2.1, type d) but does not encode them."""
    if isinstance(value, float):
        pieces.append(struct.pack(">cd", b"d", value))
        return 9
    if isinstance(value, _Unread):
        pieces.append(bytes(value))
        return len(value)
    if isinstance(value, list | dict):
        if _level() > _DEEPEST:
            raise ValueError(f"a header is nested more than {_DEEPEST} levels deep")
        return int(_one_deeper(_encode_value, pieces, value))
    if isinstance(value, _Instant):
        pieces.append(struct.pack(">cQ", b"T", value))
        return 9
    return int(_encode_value(pieces, value))


def _decode_any_value(encoded: bytes, offset: int) -> tuple[Any, int]:
    """Decode any value. pika truncates floats to integers, and closes the connection for a time that datetime cannot
    represent."""
    kind, start = encoded[offset : offset + 1], offset + 1
    if kind == b"d":
        return struct.unpack_from(">d", encoded, start)[0], start + 8
    if kind == b"f":
        return struct.unpack_from(">f", encoded, start)[0], start + 4
    if kind in _NESTED:
        if _level() == _DEEPEST:
            end = start + 4 + int.from_bytes(encoded[start : start + 4], "big")
            return _Unread(encoded[offset:end]), end
        value, end = _one_deeper(_decode_value, encoded, offset)
        return value, int(end)
    try:
        value, end = _decode_value(encoded, offset)
    except (ValueError, OverflowError, OSError):
        if kind != b"T":
            raise
        return _Instant(struct.unpack_from(">Q", encoded, start)[0]), start + 8
    return value, int(end)


def _level() -> int:
    level: int = getattr(_depth, "level", 0)
    return level


def _one_deeper(work: Callable[..., Any], *arguments: Any) -> Any:
    _depth.level = _level() + 1
    try:
        return work(*arguments)
    finally:
        _depth.level -= 1


pika.data.encode_value = _encode_any_value
pika.data.decode_value = _decode_any_value

"""Header values as pika reads and writes them, mended where the two do not match: a copy must carry what came."""

from __future__ import annotations

import struct
from typing import Any

import pika.data

_encode_value = pika.data.encode_value
_decode_value = pika.data.decode_value


class _Instant(int):
    """A time beyond datetime's calendar, in Unix seconds."""


def _encode_any_value(pieces: list[bytes], value: Any) -> int:
    """pika decodes doubles (AMQP 0-9-1 §4.2.1, type d) but does not encode them."""
    if isinstance(value, float):
        pieces.append(struct.pack(">cd", b"d", value))
        return 9
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
    try:
        value, end = _decode_value(encoded, offset)
    except (ValueError, OverflowError, OSError):
        if kind != b"T":
            raise
        return _Instant(struct.unpack_from(">Q", encoded, start)[0]), start + 8
    return value, int(end)


pika.data.encode_value = _encode_any_value
pika.data.decode_value = _decode_any_value

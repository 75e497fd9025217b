"""Between our properties and pika's. A copy must carry what came, so pika's reading and writing of header values is
mended where the two do not match."""

from __future__ import annotations

import struct
from typing import Any

import pika
import pika.data

from domain.message import Properties

_FIELDS = Properties.__slots__
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


def to_pika(properties: Properties) -> pika.BasicProperties:
    """The properties as pika publishes them."""
    return pika.BasicProperties(**{name: getattr(properties, name) for name in _FIELDS})

"""Between our properties and pika's."""

from __future__ import annotations

import struct
from typing import Any

import pika
import pika.data

from domain.message import Properties

_FIELDS = Properties.__slots__
_encode_value = pika.data.encode_value


def _encode_any_value(pieces: list[bytes], value: Any) -> int:
    """pika decodes doubles (AMQP 0-9-1 §4.2.1, type d) but does not encode them; a copy must carry what came."""
    if isinstance(value, float):
        pieces.append(struct.pack(">cd", b"d", value))
        return 9
    return int(_encode_value(pieces, value))


pika.data.encode_value = _encode_any_value


def to_pika(properties: Properties) -> pika.BasicProperties:
    """The properties as pika publishes them."""
    return pika.BasicProperties(**{name: getattr(properties, name) for name in _FIELDS})

"""The values of field tables (AMQP 0-9-1 §4.2.5.5, with the type letters of RabbitMQ's errata) as Python types.

Decoding and encoding are inverse: a decoded value encodes to its original bytes. So each field type has a separate
Python type. Most of these are built-in types: bool, str, bytes (text that is not UTF-8), float (double), Decimal,
datetime, None, dict and list. A plain int is encoded as most clients do: in 32 bits where it fits, else in 64.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Value: TypeAlias = Any
"""A value of one of these types, or a tuple, which is encoded as an array."""
Table: TypeAlias = dict[Any, Value]
"""Names are str, or bytes if they are not UTF-8."""

DEEPEST = 50
"""Levels of nested tables and arrays that are decoded. RabbitMQ sets no limit, but Python's stack does."""


class MalformedTable(ValueError):
    """The bytes are not a field table."""


class Byte(int):
    """`b`, signed, 8 bits."""


class UnsignedByte(int):
    """`B`, 8 bits."""


class Short(int):
    """`s`, signed, 16 bits."""


class UnsignedShort(int):
    """`u`, 16 bits."""


class UnsignedInt(int):
    """`i`, 32 bits."""


class Long(int):
    """`l`, signed, 64 bits, for a value that fits into 32. RabbitMQ encodes the integers of its `x-…` headers so."""


class LongLong(int):
    """`L`, signed, 64 bits: RabbitMQ reads it like `l`."""


class Float(float):
    """`f`, 32 bits."""


class Instant(int):
    """`T` beyond the calendar of datetime, in Unix seconds."""


class Binary(bytes):
    """`x`, a byte array."""


class Nested(bytes):
    """A table or array deeper than DEEPEST: its type letter and its bytes, not decoded."""


def is_integer(value: Value) -> bool:
    """Return whether a value is an integer of any width; booleans and times are not integers."""
    return isinstance(value, int) and not isinstance(value, bool | Instant)


def text(raw: bytes) -> str | bytes:
    """Decode UTF-8; return other bytes unchanged."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw

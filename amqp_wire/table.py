"""Converts field tables (AMQP 0-9-1 §4.2.5.5) to Python values and back. values.py lists the types.

The codecs of pika and pamqp are not used: they lose the widths of numbers, truncate floats, refuse times beyond the
calendar, or accept truncated tables, so a header would change in transit.
"""

from __future__ import annotations

import struct
from calendar import timegm
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from amqp_wire.spans import ARRAY, TABLE, join, join_array, name_end, prefixed, value_end, with_length
from amqp_wire.values import (
    DEEPEST,
    Binary,
    Byte,
    Float,
    Instant,
    Long,
    LongLong,
    Nested,
    Short,
    Table,
    UnsignedByte,
    UnsignedInt,
    UnsignedShort,
    Value,
    text,
)

_NESTED = (TABLE, ARRAY)
_NUMBERS: dict[str, tuple[str, type]] = {
    "b": (">b", Byte), "B": (">B", UnsignedByte), "s": (">h", Short), "u": (">H", UnsignedShort), "I": (">i", int),
    "i": (">I", UnsignedInt), "l": (">q", Long), "L": (">q", LongLong), "f": (">f", Float), "d": (">d", float),
}  # fmt: skip
_TIME, _DECIMAL = struct.Struct(">Q"), struct.Struct(">Bi")


def decode_table(data: bytes, at: int = 0) -> tuple[Table, int]:
    """Return the table at offset `at`, and the offset after it. Raises MalformedTable."""
    start, end = prefixed(data, at)
    return _fields(data, start, end, 0), end


def decode_value(tagged: bytes) -> Value:
    """Decode a type letter and the bytes of its value. Raises MalformedTable."""
    return _value(tagged, 0, value_end(tagged, 0, len(tagged)), 0)


def _fields(data: bytes, at: int, end: int, level: int) -> Table:
    table: Table = {}
    while at < end:
        start = name_end(data, at, end)
        stop = value_end(data, start, end)
        table[text(data[at + 1 : start])] = _value(data, start, stop, level)
        at = stop
    return table


def _items(data: bytes, at: int, end: int, level: int) -> list[Value]:
    items = []
    while at < end:
        stop = value_end(data, at, end)
        items.append(_value(data, at, stop, level))
        at = stop
    return items


def _value(data: bytes, at: int, stop: int, level: int) -> Value:
    letter = data[at]
    if letter in _NESTED:
        if level == DEEPEST:
            return Nested(data[at:stop])
        return (_fields if letter == TABLE else _items)(data, at + 5, stop, level + 1)
    return _DECODERS[letter](data[at + 1 : stop])


def _number(layout: str, kind: type) -> Callable[[bytes], Any]:
    unpack = struct.Struct(layout).unpack
    return (lambda raw: unpack(raw)[0]) if kind in (int, float) else lambda raw: kind(unpack(raw)[0])


def _fits_32_bits(value: int) -> bool:
    return -(2**31) <= value < 2**31


def _decode_long(raw: bytes) -> int:
    value = int.from_bytes(raw, signed=True)
    return Long(value) if _fits_32_bits(value) else value


def _decode_time(raw: bytes) -> datetime | Instant:
    seconds = int.from_bytes(raw)
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return Instant(seconds)


def _decode_decimal(raw: bytes) -> Decimal:
    scale, unscaled = _DECIMAL.unpack(raw)
    return Decimal(unscaled).scaleb(-scale)


_DECODERS: dict[int, Callable[[bytes], Value]] = {
    **{ord(letter): _number(*number) for letter, number in _NUMBERS.items()},
    ord("l"): _decode_long,
    ord("S"): lambda raw: text(raw[4:]),
    ord("x"): lambda raw: Binary(raw[4:]),
    ord("t"): lambda raw: raw != b"\0",
    ord("T"): _decode_time,
    ord("D"): _decode_decimal,
    ord("V"): lambda raw: None,
    0: lambda raw: None,
}


def encode_table(table: Mapping[Any, Value]) -> bytes:
    """Return the table's bytes, length first. Raises what encode_value raises."""
    return _encode_fields(table, 0)


def encode_value(value: Value) -> bytes:
    """Return a tagged value. Raises TypeError for a type that AMQP does not have, and for an integer of more than 64
    bits; ValueError for a name or value that is too long, too deep or out of range."""
    return _encode(value, 0)


def _encode_fields(table: Mapping[Any, Value], level: int) -> bytes:
    return join({name: _encode(value, level) for name, value in table.items()})


def _encode(value: Value, level: int) -> bytes:
    encode = _ENCODERS.get(type(value)) or _base_encoder(value)
    if encode is not None:
        try:
            return encode(value)
        except struct.error as error:
            raise ValueError(f"{value} does not fit its field type: {error}") from None
    if isinstance(value, Mapping | list | tuple):
        if level > DEEPEST:
            raise ValueError(f"a header is nested more than {DEEPEST} levels deep")
        if isinstance(value, Mapping):
            return b"F" + _encode_fields(value, level + 1)
        return join_array([_encode(item, level + 1) for item in value])
    raise TypeError(f"{type(value).__name__} has no AMQP field type")


def _base_encoder(value: Value) -> Callable[[Any], bytes] | None:
    """Return the encoder of a base class of the value's type, for example of an enumeration's; None if there is
    none."""
    return next((encode for kind, encode in _ENCODERS.items() if isinstance(value, kind)), None)


def _number_encoder(letter: str, layout: str) -> Callable[[Any], bytes]:
    pack = struct.Struct(layout).pack
    return lambda value: letter.encode() + pack(value)


def _encode_int(value: int) -> bytes:
    if _fits_32_bits(value):
        return b"I" + value.to_bytes(4, signed=True)
    if not -(2**63) <= value < 2**63:
        raise TypeError(f"{value} does not fit in 64 bits")
    return b"l" + value.to_bytes(8, signed=True)


def _encode_decimal(value: Decimal) -> bytes:
    scale = max(0, -int(value.as_tuple().exponent))
    return b"D" + _DECIMAL.pack(scale, int(value.scaleb(scale)))


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    str: lambda value: b"S" + with_length(value.encode("utf-8", "surrogateescape")),
    bool: lambda value: b"t\x01" if value else b"t\x00",
    Instant: lambda value: b"T" + _TIME.pack(value),
    **{kind: _number_encoder(letter, layout) for letter, (layout, kind) in _NUMBERS.items()},
    int: _encode_int,
    datetime: lambda value: b"T" + _TIME.pack(timegm(value.utctimetuple())),
    Nested: bytes,
    Binary: lambda value: b"x" + with_length(value),
    bytes: lambda value: b"S" + with_length(value),
    Decimal: _encode_decimal,
    type(None): lambda _: b"V",
}
"""Derived types come before their base types."""

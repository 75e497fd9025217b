"""Field tables (AMQP 0-9-1 §4.2.5.5, with the type letters of RabbitMQ's errata), exact in both directions.

pamqp's table codec is not used: it narrows doubles to floats, cannot encode byte strings and reads truncated
tables, so a header would change on its way through. `split` and `join` edit a table without decoding its values.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeAlias

# bool, int, float, Decimal, str, bytes, bytearray, Timestamp, None, list or dict of the same
Value: TypeAlias = Any
Table: TypeAlias = dict[str, Value]

# Deeper nesting than this is an attack on the stack, not a message.
MAX_DEPTH = 64

_UINT = struct.Struct(">I")


class Timestamp(int):
    """Seconds since the epoch, as the 64-bit timestamp type `T`."""


class MalformedTable(ValueError):
    """The bytes are not a field table."""


def _number(layout: str) -> tuple[struct.Struct, int]:
    packer = struct.Struct(layout)
    return packer, packer.size


_NUMBERS = {
    ord(letter): _number(layout)
    for letter, layout in {
        "b": ">b", "B": ">B", "s": ">h", "u": ">H", "I": ">i", "i": ">I",
        "l": ">q", "L": ">q", "f": ">f", "d": ">d",
    }.items()
}  # fmt: skip


def _end(data: bytes, at: int) -> tuple[int, int]:
    """Start and end of the length-prefixed bytes at `at`."""
    if at + 4 > len(data):
        raise MalformedTable("length cut short")
    start = at + 4
    end = start + _UINT.unpack_from(data, at)[0]
    if end > len(data):
        raise MalformedTable("value longer than its frame")
    return start, end


def decode_table(data: bytes, at: int = 0, depth: int = 0) -> tuple[Table, int]:
    """The table at offset `at`, and the offset after it. Raises MalformedTable."""
    at, end = _end(data, at)
    table: Table = {}
    while at < end:
        name, at = _name(data, at, end)
        table[name], at = _decode_value(data, at, end, depth + 1)
    return table, at


def _name(data: bytes, at: int, end: int) -> tuple[str, int]:
    stop = at + 1 + data[at]
    if stop > end:
        raise MalformedTable("field name longer than its table")
    return data[at + 1 : stop].decode("utf-8", "surrogateescape"), stop


def _decode_value(data: bytes, at: int, end: int, depth: int) -> tuple[Value, int]:
    if depth > MAX_DEPTH:
        raise MalformedTable("nested too deep")
    stop = _skip_value(data, at, end)
    letter, at = data[at], at + 1
    if letter in _NUMBERS:
        return _NUMBERS[letter][0].unpack_from(data, at)[0], stop
    return _DECODERS[letter](data[at:stop], depth), stop


def _decode_text(raw: bytes, depth: int) -> str | bytes:
    try:
        return raw[4:].decode("utf-8")
    except UnicodeDecodeError:
        return raw[4:]


def _decode_decimal(raw: bytes, depth: int) -> Decimal:
    scale, unscaled = struct.unpack(">Bi", raw)
    return Decimal(unscaled).scaleb(-scale)


def _decode_array(data: bytes, depth: int) -> list[Value]:
    at, end = _end(data, 0)
    items = []
    while at < end:
        item, at = _decode_value(data, at, end, depth + 1)
        items.append(item)
    return items


_DECODERS: dict[int, Callable[[bytes, int], Value]] = {
    ord("S"): _decode_text,
    ord("t"): lambda raw, _: raw != b"\0",
    ord("T"): lambda raw, _: Timestamp(struct.unpack(">Q", raw)[0]),
    ord("F"): lambda raw, depth: decode_table(raw, 0, depth)[0],
    ord("A"): _decode_array,
    ord("D"): _decode_decimal,
    ord("x"): lambda raw, _: bytearray(raw[4:]),
    ord("V"): lambda raw, _: None,
    0: lambda raw, _: None,
}


def _skip_value(data: bytes, at: int, end: int) -> int:
    """The offset after the tagged value at `at`."""
    if at >= end:
        raise MalformedTable("value missing")
    letter = data[at]
    if letter in _NUMBERS:
        stop = at + 1 + _NUMBERS[letter][1]
    elif letter in b"SFAx":
        stop = _end(data, at + 1)[1]
    elif letter == 0x74:
        stop = at + 2
    elif letter == 0x54:
        stop = at + 9
    elif letter == 0x44:
        stop = at + 6
    elif letter in b"V\0":
        stop = at + 1
    else:
        raise MalformedTable(f"unknown field type {letter}")
    if stop > end:
        raise MalformedTable("value longer than its table")
    return stop


def split(raw: bytes) -> dict[str, bytes]:
    """A table's fields by name, each still tagged and encoded."""
    at, end = _end(raw, 0)
    fields = {}
    while at < end:
        name, at = _name(raw, at, end)
        stop = _skip_value(raw, at, end)
        fields[name] = raw[at:stop]
        at = stop
    return fields


def join(fields: Mapping[str, bytes]) -> bytes:
    """The table made of tagged, encoded values: the inverse of `split`."""
    return _prefixed(b"".join(_short(name) + value for name, value in fields.items()))


def split_array(value: bytes) -> list[bytes]:
    """The tagged items of a tagged array; none where the value is of another type."""
    if value[:1] != b"A":
        return []
    at, end = _end(value, 1)
    items = []
    while at < end:
        stop = _skip_value(value, at, end)
        items.append(value[at:stop])
        at = stop
    return items


def join_array(items: list[bytes]) -> bytes:
    """The tagged array made of tagged items."""
    return b"A" + _prefixed(b"".join(items))


def _prefixed(content: bytes) -> bytes:
    return _UINT.pack(len(content)) + content


def _short(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogateescape")[:255]
    return bytes((len(raw),)) + raw


def encode_table(table: Mapping[str, Value]) -> bytes:
    """The table's bytes, length first. Integers travel as 64-bit `l`, floats as doubles."""
    return join({name: encode_value(value) for name, value in table.items()})


def encode_value(value: Value) -> bytes:
    """One tagged value. Raises TypeError for a type that AMQP does not have."""
    for kind, encode in _ENCODERS:
        if isinstance(value, kind):
            return encode(value)
    raise TypeError(f"{type(value).__name__} has no AMQP field type")


def _encode_integer(value: int) -> bytes:
    if not -(2**63) <= value < 2**63:
        raise TypeError(f"{value} does not fit in 64 bits")
    return b"l" + struct.pack(">q", value)


def _encode_decimal(value: Decimal) -> bytes:
    scale = max(0, -int(value.as_tuple().exponent))
    return b"D" + struct.pack(">Bi", scale, int(value.scaleb(scale)))


# In order: bool is an int, and Timestamp too.
_ENCODERS: list[tuple[type | tuple[type, ...], Callable[[Any], bytes]]] = [
    (str, lambda value: b"S" + _prefixed(value.encode("utf-8", "surrogateescape"))),
    (bool, lambda value: b"t\x01" if value else b"t\x00"),
    (Timestamp, lambda value: b"T" + struct.pack(">Q", value)),
    (int, _encode_integer),
    (float, lambda value: b"d" + struct.pack(">d", value)),
    (dict, lambda value: b"F" + encode_table(value)),
    ((list, tuple), lambda value: join_array([encode_value(item) for item in value])),
    (bytes, lambda value: b"S" + _prefixed(value)),
    (bytearray, lambda value: b"x" + _prefixed(bytes(value))),
    (Decimal, _encode_decimal),
    (type(None), lambda _: b"V"),
]

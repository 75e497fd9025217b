"""Finds where the fields of an encoded table begin and end, to check and edit a table without decoding its values."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

from amqp_wire.values import MalformedTable, text

_UINT = struct.Struct(">I")

_SIZES = {
    ord(letter): size
    for size, letters in {0: "V\0", 1: "tbB", 2: "su", 4: "Iif", 5: "D", 8: "lLdT"}.items()
    for letter in letters
}
"""Bytes of a value by its type letter. Values of the types `S`, `x`, `F` and `A` start with their length instead."""

TABLE, ARRAY = ord("F"), ord("A")


def prefixed(data: bytes, at: int) -> tuple[int, int]:
    """Return start and end of the length-prefixed bytes at `at`. Raises MalformedTable."""
    if at + 4 > len(data):
        raise MalformedTable("length cut short")
    start = at + 4
    end: int = start + _UINT.unpack_from(data, at)[0]
    if end > len(data):
        raise MalformedTable("value longer than its frame")
    return start, end


def name_end(data: bytes, at: int, end: int) -> int:
    """Return the offset after the field name at `at`. Raises MalformedTable."""
    stop = at + 1 + data[at]
    if stop > end:
        raise MalformedTable("field name longer than its table")
    return stop


def value_end(data: bytes, at: int, end: int) -> int:
    """Return the offset after the tagged value at `at`. Raises MalformedTable."""
    if at >= end:
        raise MalformedTable("value missing")
    letter = data[at]
    if letter in _SIZES:
        stop = at + 1 + _SIZES[letter]
    elif letter in b"SFAx":
        stop = prefixed(data, at + 1)[1]
    else:
        raise MalformedTable(f"unknown field type {letter}")
    if stop > end:
        raise MalformedTable("value longer than its table")
    return stop


def check(raw: bytes) -> None:
    """Check a table at all levels of nesting. Raises MalformedTable."""
    waiting = [(TABLE, *prefixed(raw, 0))]
    while waiting:
        kind, at, end = waiting.pop()
        while at < end:
            if kind == TABLE:
                at = name_end(raw, at, end)
            stop = value_end(raw, at, end)
            if raw[at] in (TABLE, ARRAY):
                waiting.append((raw[at], at + 5, stop))
            at = stop


def split(raw: bytes) -> dict[Any, bytes]:
    """Return a table's fields by name, each still tagged and encoded. Raises MalformedTable."""
    at, end = prefixed(raw, 0)
    fields: dict[Any, bytes] = {}
    while at < end:
        start = name_end(raw, at, end)
        stop = value_end(raw, start, end)
        fields[text(raw[at + 1 : start])] = raw[start:stop]
        at = stop
    return fields


def join(fields: Mapping[Any, bytes]) -> bytes:
    """Return the table made of tagged, encoded values: the inverse of `split`. Raises ValueError for a name that is too
    long."""
    return with_length(b"".join(short_string(name) + value for name, value in fields.items()))


def split_array(value: bytes) -> list[bytes]:
    """Return the tagged items of a tagged array; none if the value is of another type. Raises MalformedTable."""
    return list(_items(value)) if value[:1] == b"A" else []


def _items(value: bytes) -> Iterator[bytes]:
    at, end = prefixed(value, 1)
    while at < end:
        stop = value_end(value, at, end)
        yield value[at:stop]
        at = stop


def join_array(items: list[bytes]) -> bytes:
    """Return the tagged array made of tagged items."""
    return b"A" + with_length(b"".join(items))


def with_length(content: bytes) -> bytes:
    """Return a long string, or the content of a table or array, with its length before it."""
    return _UINT.pack(len(content)) + content


def short_string(value: str | bytes) -> bytes:
    """Return a short string with its length before it (§4.2.5.3). Raises ValueError beyond 255 bytes."""
    raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    if len(raw) > 255:
        raise ValueError(f"a short string must have at most 255 bytes; {value[:40]!r}… has {len(raw)}")
    return len(raw).to_bytes(1) + raw

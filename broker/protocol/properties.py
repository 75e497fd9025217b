"""The properties of a message (AMQP 0-9-1 §4.2.6.1), read only as far as the broker needs them.

A content header passes through the broker undecoded. `essentials` finds what decides a message's fate; `split` and
`join` let dead-lettering change the headers and leave the rest byte for byte as it was.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple

from broker.protocol import table
from broker.protocol.table import MalformedTable, Table, Timestamp, Value

# name → (flag, type), in the order of the wire
PROPERTIES = {
    "content_type": (0x8000, "short"),
    "content_encoding": (0x4000, "short"),
    "headers": (0x2000, "table"),
    "delivery_mode": (0x1000, "octet"),
    "priority": (0x0800, "octet"),
    "correlation_id": (0x0400, "short"),
    "reply_to": (0x0200, "short"),
    "expiration": (0x0100, "short"),
    "message_id": (0x0080, "short"),
    "timestamp": (0x0040, "time"),
    "type": (0x0020, "short"),
    "user_id": (0x0010, "short"),
    "app_id": (0x0008, "short"),
    "cluster_id": (0x0004, "short"),
}

_FLAGS = struct.Struct(">H")
_DECIDING = sum(PROPERTIES[name][0] for name in
                ("headers", "delivery_mode", "priority", "reply_to", "expiration", "user_id"))  # fmt: skip

# Headers larger than this are parsed each time rather than kept in the cache.
_CACHEABLE = 256


class MalformedProperties(ValueError):
    """The bytes are not a property list."""


class Essentials(NamedTuple):
    """The properties that decide what the broker does. `headers` is the encoded table."""

    persistent: bool = False
    priority: int | None = None
    expiration: str | None = None
    headers: bytes | None = None
    user_id: str | None = None
    reply_to: str | None = None


_NOTHING = Essentials()
EMPTY = b"\0\0"


def essentials(properties: bytes) -> Essentials:
    """Return the properties that decide the message's fate, from the encoded flags and values. Raises
    MalformedProperties."""
    if len(properties) < 2:
        raise MalformedProperties("property flags cut short")
    if not _FLAGS.unpack_from(properties)[0] & _DECIDING:
        return _NOTHING
    return _cached(properties) if len(properties) <= _CACHEABLE else _parse(properties)


def _parse(properties: bytes) -> Essentials:
    fields = split(properties)
    mode = fields.get("delivery_mode")
    priority = fields.get("priority")
    if "headers" in fields:
        _check_table(fields["headers"])
    return Essentials(
        mode == b"\x02",
        priority[0] if priority else None,
        _text(fields.get("expiration")),
        fields.get("headers"),
        _text(fields.get("user_id")),
        _text(fields.get("reply_to")),
    )


def _check_table(raw: bytes) -> None:
    """A malformed table is refused when it comes, not when dead-lettering looks into it."""
    try:
        table.decode_table(raw)
    except MalformedTable as error:
        raise MalformedProperties(str(error)) from error


_cached = lru_cache(maxsize=1024)(_parse)


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw[1:].decode("utf-8", "surrogateescape")


def split(properties: bytes) -> dict[str, bytes]:
    """The encoded value of each property present, by name. Raises MalformedProperties."""
    flags = _FLAGS.unpack_from(properties)[0]
    if flags & 1:
        raise MalformedProperties("more property flags than AMQP 0-9-1 has")
    at = 2
    fields = {}
    for name, (flag, kind) in PROPERTIES.items():
        if flags & flag:
            stop = at + _length(properties, at, kind)
            if stop > len(properties):
                raise MalformedProperties(f"{name} cut short")
            fields[name] = properties[at:stop]
            at = stop
    return fields


def _length(data: bytes, at: int, kind: str) -> int:
    if kind == "octet":
        return 1
    if kind == "time":
        return 8
    if at + (4 if kind == "table" else 1) > len(data):
        raise MalformedProperties("length cut short")
    return 1 + data[at] if kind == "short" else 4 + int(struct.unpack_from(">I", data, at)[0])


def join(fields: dict[str, bytes]) -> bytes:
    """Flags and values of encoded properties: the inverse of `split`."""
    present = [(PROPERTIES[name][0], fields[name]) for name in PROPERTIES if name in fields]
    return _FLAGS.pack(sum(flag for flag, _ in present)) + b"".join(value for _, value in present)


def with_header(properties: bytes, name: str, value: Value) -> bytes:
    """The properties with one header set. Raises MalformedProperties, MalformedTable, TypeError."""
    fields = split(properties)
    headers = table.split(fields["headers"]) if "headers" in fields else {}
    headers[name] = table.encode_value(value)
    return join({**fields, "headers": table.join(headers)})


def without_header(properties: bytes, name: str) -> bytes:
    """The properties without one header. Raises MalformedProperties, MalformedTable."""
    fields = split(properties)
    headers = {key: value for key, value in table.split(fields["headers"]).items() if key != name}
    return join({**fields, "headers": table.join(headers)})


def decode(properties: bytes) -> Table:
    """Every property by name, decoded. Raises MalformedProperties."""
    try:
        return {name: _decode(raw, PROPERTIES[name][1]) for name, raw in split(properties).items()}
    except MalformedTable as error:
        raise MalformedProperties(str(error)) from error


def _decode(raw: bytes, kind: str) -> Value:
    if kind == "octet":
        return raw[0]
    if kind == "time":
        return Timestamp(struct.unpack(">Q", raw)[0])
    return table.decode_table(raw)[0] if kind == "table" else _text(raw)


def encode(properties: Table) -> bytes:
    """Flags and values of properties given by name; None leaves one out. Raises TypeError, ValueError, KeyError."""
    return join({name: _encode(value, PROPERTIES[name][1])
                 for name, value in properties.items() if value is not None})  # fmt: skip


def _encode(value: Value, kind: str) -> bytes:
    if kind == "octet":
        return bytes((value,))
    if kind == "time":
        return struct.pack(">Q", int(value))
    if kind == "table":
        return table.encode_table(value)
    raw = str(value).encode("utf-8", "surrogateescape")
    return bytes((len(raw),)) + raw

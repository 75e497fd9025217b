"""The properties of a message (AMQP 0-9-1 §1.8.3.1, §4.2.6.1): flags, then the values of the properties present."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from amqp_wire.spans import short_string
from amqp_wire.table import decode_table, encode_table
from amqp_wire.values import MalformedTable, Table, Value

_FLAGS, _UINT, _TIME = struct.Struct(">H"), struct.Struct(">I"), struct.Struct(">Q")


class MalformedProperties(ValueError):
    """The bytes are not a property list."""


class _Kind(NamedTuple):
    """A type of property. `size` is the bytes of a value of fixed size, or of the length before variable content.
    `prefix` is the bytes of that length; 0 for a fixed size."""

    size: int
    prefix: int
    decode: Callable[[bytes], Value]
    encode: Callable[[Any], bytes]


def _decode_short(raw: bytes) -> str | bytes:
    try:
        return raw[1:].decode()
    except UnicodeDecodeError:
        return raw[1:]


def _encode_seconds(value: int) -> bytes:
    try:
        return _TIME.pack(value)
    except struct.error as error:
        raise ValueError(f"not a timestamp: {error}") from None


_SHORT = _Kind(1, 1, _decode_short, short_string)
_TABLE = _Kind(4, 4, lambda raw: decode_table(raw)[0], encode_table)
_OCTET = _Kind(1, 0, itemgetter(0), lambda value: bytes((value,)))
_SECONDS = _Kind(8, 0, lambda raw: _TIME.unpack(raw)[0], _encode_seconds)

_KINDS = {
    "content_type": _SHORT,
    "content_encoding": _SHORT,
    "headers": _TABLE,
    "delivery_mode": _OCTET,
    "priority": _OCTET,
    "correlation_id": _SHORT,
    "reply_to": _SHORT,
    "expiration": _SHORT,
    "message_id": _SHORT,
    "timestamp": _SECONDS,
    "type": _SHORT,
    "user_id": _SHORT,
    "app_id": _SHORT,
    "cluster_id": _SHORT,
}
"""In wire order, which is the order of the flags from the highest bit down."""

PROPERTIES = tuple(_KINDS)
FLAGS = {name: 1 << 15 - place for place, name in enumerate(PROPERTIES)}
_DECODERS = {name: kind.decode for name, kind in _KINDS.items()}
_ENCODERS = [(FLAGS[name], kind.encode) for name, kind in _KINDS.items()]


def flags_of(properties: bytes) -> int:
    """Return the property flags. Raises MalformedProperties."""
    if len(properties) < _FLAGS.size:
        raise MalformedProperties("property flags cut short")
    flags: int = _FLAGS.unpack_from(properties)[0]
    return flags


@lru_cache(maxsize=256)
def _present(raw: bytes) -> tuple[tuple[str, int, int], ...]:
    """Return name, prefix and size of each property whose flag is set in the two bytes. Raises MalformedProperties."""
    flags = flags_of(raw)
    if flags & 1:
        raise MalformedProperties("more property flags than AMQP 0-9-1 has")
    return tuple((name, kind.prefix, kind.size) for name, kind in _KINDS.items() if flags & FLAGS[name])


def split(properties: bytes) -> dict[str, bytes]:
    """Return the encoded value of each property present, by name. Raises MalformedProperties."""
    at, end = _FLAGS.size, len(properties)
    fields = {}
    for name, prefix, size in _present(properties[: _FLAGS.size]):
        if at + prefix > end:
            raise MalformedProperties("length cut short")
        stop = at + size
        if prefix:
            stop += properties[at] if prefix == 1 else _UINT.unpack_from(properties, at)[0]
        if stop > end:
            raise MalformedProperties(f"{name} cut short")
        fields[name] = properties[at:stop]
        at = stop
    return fields


def join(fields: dict[str, bytes]) -> bytes:
    """Return flags and values of encoded properties: the inverse of `split`."""
    present = [name for name in PROPERTIES if name in fields]
    return _FLAGS.pack(sum(FLAGS[name] for name in present)) + b"".join(fields[name] for name in present)


def decode(properties: bytes) -> Table:
    """Return every property by name, decoded. Raises MalformedProperties."""
    try:
        return {name: _DECODERS[name](raw) for name, raw in split(properties).items()}
    except MalformedTable as error:
        raise MalformedProperties(str(error)) from error


def encode(values: Iterable[Value]) -> bytes:
    """Return flags and values of all properties, in the order of PROPERTIES; None leaves one out. Raises TypeError and
    ValueError."""
    flags, parts = 0, [b""]
    for (flag, encode_one), value in zip(_ENCODERS, values, strict=True):
        if value is not None:
            flags |= flag
            parts.append(encode_one(value))
    parts[0] = _FLAGS.pack(flags)
    return b"".join(parts)


class ReceivedProperties:
    """The properties of a message that arrived, as attributes. The headers are decoded on first access."""

    content_type: str | None = None
    content_encoding: str | None = None
    headers: Table | None
    """The decoded headers; None if the message has none. Raises MalformedTable."""
    delivery_mode: int | None = None
    priority: int | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration: str | None = None
    message_id: str | None = None
    timestamp: int | None = None
    type: str | None = None
    user_id: str | None = None
    app_id: str | None = None
    cluster_id: str | None = None

    def __init__(self, encoded: bytes) -> None:
        """Decode all properties except the headers. Raises MalformedProperties."""
        fields = split(encoded)
        self._table = fields.pop("headers", b"")
        if not self._table:
            self.headers = None
        values = self.__dict__
        for name, raw in fields.items():
            values[name] = _DECODERS[name](raw)

    def __getattr__(self, name: str) -> Any:
        """Decode the headers, which are not an attribute before."""
        if name != "headers":
            raise AttributeError(name)
        self.headers = headers = decode_table(self._table)[0]
        return headers

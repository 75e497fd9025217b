"""Decodes and encodes method frames as pamqp's method classes.

pamqp provides the indexes, argument names and types. This module reads and writes the arguments, because pamqp accepts
truncated ones, refuses names that RabbitMQ takes (128 to 255 bytes) and narrows table values.
"""

from __future__ import annotations

import struct
from typing import Any

from pamqp import base, commands

from amqp_wire.table import decode_table, encode_table
from amqp_wire.values import MalformedTable, Value
from broker.errors import AmqpError
from broker.protocol import access

_FIXED = {"octet": struct.Struct(">B"), "short": struct.Struct(">H"), "long": struct.Struct(">I"),
          "longlong": struct.Struct(">Q"), "timestamp": struct.Struct(">Q")}  # fmt: skip
_INDEX = struct.Struct(">I")

_METHODS: dict[int, type[base.Frame]] = {**commands.INDEX_MAPPING, access.Request.index: access.Request}

# method class → its arguments' (name, type)
_SIGNATURES: dict[type[base.Frame], list[tuple[str, str]]] = {}


def _signature(method: type[base.Frame]) -> list[tuple[str, str]]:
    if method not in _SIGNATURES:
        _SIGNATURES[method] = [(name, method.amqp_type(name)) for name in method.__slots__]
    return _SIGNATURES[method]


def decode_method(payload: bytes) -> base.Frame:
    """Decode a method frame's payload. Raises AmqpError 501 or 540."""
    if len(payload) < 4:
        raise AmqpError(501, "method frame cut short")
    index = _INDEX.unpack_from(payload)[0]
    kind: type[base.Frame] | None = _METHODS.get(index)
    if kind is None:
        raise AmqpError(540, f"method {index >> 16}.{index & 0xFFFF} is not known")
    method = object.__new__(kind)
    try:
        _read(method, _signature(kind), payload)
    except (IndexError, struct.error, MalformedTable, UnicodeDecodeError) as error:
        raise AmqpError(501, f"arguments of {kind.name} are malformed: {error}") from error
    return method


def _read(method: base.Frame, signature: list[tuple[str, str]], data: bytes) -> None:
    at, bit = 4, 8
    for name, kind in signature:
        value: Value
        if kind == "bit":
            if bit == 8:
                at, bit = at + 1, 0
            value = bool(data[at - 1] >> bit & 1)
            bit += 1
        else:
            bit = 8
            value, at = _read_argument(data, at, kind)
        setattr(method, name, value)


def _read_argument(data: bytes, at: int, kind: str) -> tuple[Value, int]:
    if kind == "shortstr":
        stop = at + 1 + data[at]
        if stop > len(data):
            raise IndexError("short string cut short")
        return data[at + 1 : stop].decode("utf-8", "surrogateescape"), stop
    if kind == "table":
        return decode_table(data, at)
    if kind == "longstr":
        stop = at + 4 + _INDEX.unpack_from(data, at)[0]
        if stop > len(data):
            raise IndexError("long string cut short")
        return data[at + 4 : stop], stop
    fixed = _FIXED[kind]
    return fixed.unpack_from(data, at)[0], at + fixed.size


def encode_method(method: type[base.Frame], *values: Any) -> bytes:
    """Encode a method frame's payload; `values` are in the order of the specification."""
    parts = [_INDEX.pack(method.index)]
    bits: list[bool] = []
    for (_, kind), value in zip(_signature(method), values, strict=True):
        if kind == "bit":
            bits.append(value)
            continue
        parts += _octets(bits)
        bits = []
        parts.append(_write_argument(value, kind))
    return b"".join(parts + _octets(bits))


def _octets(bits: list[bool]) -> list[bytes]:
    return [bytes((sum(bit << place for place, bit in enumerate(bits)),))] if bits else []


def _write_argument(value: Any, kind: str) -> bytes:
    if kind == "shortstr":
        return short_string(value)
    if kind == "table":
        return encode_table(value)
    if kind == "longstr":
        raw = value.encode("utf-8") if isinstance(value, str) else bytes(value)
        return _INDEX.pack(len(raw)) + raw
    return _FIXED[kind].pack(value)


def short_string(text: str) -> bytes:
    """Encode a short string: a length octet and at most 255 bytes of UTF-8, cut at the end of a character."""
    raw = text.encode("utf-8", "surrogateescape")
    if len(raw) > 255:
        raw = raw[:255].decode("utf-8", "ignore").encode("utf-8")
    return bytes((len(raw),)) + raw

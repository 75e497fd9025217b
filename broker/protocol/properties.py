"""The properties of a message, as far as the broker needs them.

A content header passes through the broker undecoded. `essentials` finds what decides a message's fate; `with_header`
and `without_header` leave the other properties byte for byte as they were.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from amqp_wire import spans
from amqp_wire.properties import FLAGS, MalformedProperties, flags_of, join, split
from amqp_wire.table import encode_value
from amqp_wire.values import MalformedTable, Value

_DECIDING = sum(FLAGS[name] for name in
                ("headers", "delivery_mode", "priority", "reply_to", "expiration", "user_id"))  # fmt: skip

# Headers larger than this are parsed each time rather than kept in the cache.
_CACHEABLE = 256


class Essentials(NamedTuple):
    """The properties that decide what the broker does. `headers` is the encoded table."""

    persistent: bool = False
    priority: int | None = None
    expiration: str | None = None
    headers: bytes | None = None
    user_id: str | None = None
    reply_to: str | None = None


_NOTHING = Essentials()


def essentials(properties: bytes) -> Essentials:
    """Return the properties that decide the message's fate, from the encoded flags and values. Raises
    MalformedProperties."""
    if not flags_of(properties) & _DECIDING:
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
        spans.check(raw)
    except MalformedTable as error:
        raise MalformedProperties(str(error)) from error


_cached = lru_cache(maxsize=1024)(_parse)


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw[1:].decode("utf-8", "surrogateescape")


def with_header(properties: bytes, name: str, value: Value) -> bytes:
    """Return the properties with one header set. Raises MalformedProperties, MalformedTable, TypeError."""
    fields = split(properties)
    headers = spans.split(fields["headers"]) if "headers" in fields else {}
    headers[name] = encode_value(value)
    return join({**fields, "headers": spans.join(headers)})


def without_header(properties: bytes, name: str) -> bytes:
    """Return the properties without one header. Raises MalformedProperties, MalformedTable."""
    fields = split(properties)
    headers = {key: value for key, value in spans.split(fields["headers"]).items() if key != name}
    return join({**fields, "headers": spans.join(headers)})

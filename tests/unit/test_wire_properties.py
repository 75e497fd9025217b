"""Properties: decoding and encoding are inverse, malformed ones are refused, headers wait until something asks."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqp_wire.properties import (
    PROPERTIES,
    MalformedProperties,
    ReceivedProperties,
    decode,
    encode,
    join,
    split,
)
from amqp_wire.values import MalformedTable

_short = st.text(max_size=40) | st.just(b"\xff")
_octet, _headers = st.integers(0, 255), st.dictionaries(_short, _short, max_size=3)
_kinds = {"headers": _headers, "delivery_mode": _octet, "priority": _octet, "timestamp": st.integers(0, 2**64 - 1)}
_properties = st.fixed_dictionaries({}, optional={name: _kinds.get(name, _short) for name in PROPERTIES})


def encoded(properties: dict[str, Any]) -> bytes:
    return encode(properties.get(name) for name in PROPERTIES)


@given(_properties)
def test_properties_survive_encoding(properties: dict[str, Any]) -> None:
    raw = encoded(properties)
    assert decode(raw) == properties
    assert join(split(raw)) == raw


@given(_properties)
def test_received_properties_have_an_attribute_each(properties: dict[str, Any]) -> None:
    received = ReceivedProperties(encoded(properties))
    assert {name: getattr(received, name) for name in PROPERTIES} == dict.fromkeys(PROPERTIES) | properties
    assert encode(getattr(received, name) for name in PROPERTIES) == encoded(properties)


def test_headers_are_decoded_when_something_asks_for_them() -> None:
    received = ReceivedProperties(b"\x30\x00" + b"\x00\x00\x00\x03\x01aZ" + b"\x02")
    assert received.delivery_mode == 2
    with pytest.raises(MalformedTable):
        received.headers  # noqa: B018


@given(st.binary(max_size=60))
def test_any_bytes_decode_to_properties_or_are_refused(raw: bytes) -> None:
    try:
        ReceivedProperties(raw)
        decode(raw)
    except MalformedProperties:
        return


@pytest.mark.parametrize("raw", [b"", b"\x10", b"\x10\x00", b"\x20\x00\x00\x00", b"\x01\x00\xffabc", b"\x10\x01\x02"])
def test_truncated_properties_are_refused(raw: bytes) -> None:
    with pytest.raises(MalformedProperties):
        ReceivedProperties(raw)


@pytest.mark.parametrize(
    "properties", [{"priority": 256}, {"timestamp": -1}, {"message_id": "é" * 128}, {"delivery_mode": 1.5}]
)
def test_a_value_that_a_property_cannot_hold_is_refused(properties: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        encoded(properties)


def test_the_properties_are_in_the_order_of_the_wire() -> None:
    """The flags go down from the highest bit (AMQP 0-9-1 §4.2.6.1)."""
    assert encoded({"content_type": "a", "cluster_id": "b"}) == struct.pack(">H", 0x8004) + b"\x01a\x01b"

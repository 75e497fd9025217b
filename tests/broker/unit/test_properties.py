"""Properties: the broker decodes only what it needs and passes the rest on unchanged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqp_wire.properties import PROPERTIES, MalformedProperties, encode
from amqp_wire.table import encode_table
from broker.core.message import Message
from broker.protocol.properties import essentials

_short = st.text(max_size=40)
_properties = st.fixed_dictionaries({}, optional={
    "content_type": _short, "content_encoding": _short, "headers": st.dictionaries(_short, _short, max_size=3),
    "delivery_mode": st.integers(0, 255), "priority": st.integers(0, 255), "correlation_id": _short,
    "reply_to": _short, "expiration": _short, "message_id": _short, "timestamp": st.integers(0, 2**63),
    "type": _short, "user_id": _short, "app_id": _short, "cluster_id": _short,
})  # fmt: skip


@given(_properties)
def test_the_essentials_equal_the_properties(properties: dict[str, object]) -> None:
    found = essentials(encode(map(properties.get, PROPERTIES)))
    assert found.persistent == (properties.get("delivery_mode") == 2)
    assert (found.priority, found.expiration) == (properties.get("priority"), properties.get("expiration"))
    assert (found.user_id, found.reply_to) == (properties.get("user_id"), properties.get("reply_to"))
    assert (found.headers is None) == ("headers" not in properties)


@given(st.binary(max_size=60))
def test_any_bytes_have_essentials_or_are_refused(raw: bytes) -> None:
    try:
        essentials(raw)
    except MalformedProperties:
        return


@pytest.mark.parametrize("raw", [b"", b"\x10", b"\x10\x00", b"\x20\x00\x00\x00", b"\x01\x00\xffabc", b"\x10\x01\x02"])
def test_truncated_properties_are_refused(raw: bytes) -> None:
    with pytest.raises(MalformedProperties):
        essentials(raw)


def test_malformed_headers_are_refused_on_receipt() -> None:
    with pytest.raises(MalformedProperties):
        Message("", "q", b"\x20\x00\x00\x00\x00\x04\x01aZ!", b"")


def test_a_blind_copy_routes_and_is_hidden() -> None:
    headers = {"BCC": ["hidden"], "CC": ["seen"], "n": 1}
    message = Message.create("", "q", b"", {"headers": headers, "message_id": "1"})
    message.hide_blind_copies()
    assert message.routing_keys() == ("q", "seen", "hidden")
    assert message.decoded_properties() == {"headers": {"CC": ["seen"], "n": 1}, "message_id": "1"}
    assert encode_table({"CC": ["seen"], "n": 1}) in message.properties

"""Messages as frames, against pika's own."""

from __future__ import annotations

import struct
from typing import Any

import pika
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika import frame, spec

from domain.message import Message, Properties
from gateway.amqp.frames import publish_frames

FRAME_MAX = 4096
SHORT = st.text(max_size=60)
OCTET = st.integers(0, 255)
HEADERS = st.dictionaries(
    SHORT,
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | SHORT | st.lists(SHORT, max_size=3),
    max_size=4,
)
PROPERTIES = st.builds(
    Properties,
    content_type=st.none() | SHORT,
    content_encoding=st.none() | SHORT,
    headers=st.none() | HEADERS,
    delivery_mode=st.none() | OCTET,
    priority=st.none() | OCTET,
    correlation_id=st.none() | SHORT,
    reply_to=st.none() | SHORT,
    expiration=st.none() | SHORT,
    message_id=st.none() | SHORT,
    timestamp=st.none() | st.integers(0, 2**64 - 1),
    type=st.none() | SHORT,
    user_id=st.none() | SHORT,
    app_id=st.none() | SHORT,
    cluster_id=st.none() | SHORT,
)
MESSAGES = st.builds(Message, SHORT, st.binary(max_size=100) | st.just(b"x" * 10_000), SHORT, PROPERTIES)


def as_pika_writes(channel: int, message: Message) -> bytes:
    named: dict[str, Any] = {name: getattr(message.properties, name) for name in Properties.__slots__}
    publish = spec.Basic.Publish(exchange=message.exchange, routing_key=message.routing_key, mandatory=True)
    part = FRAME_MAX - spec.FRAME_HEADER_SIZE - spec.FRAME_END_SIZE
    bodies = [message.body[start : start + part] for start in range(0, len(message.body), part)]
    frames = [
        frame.Method(channel, publish),
        frame.Header(channel, len(message.body), pika.BasicProperties(**named)),
        *(frame.Body(channel, body) for body in bodies),
    ]
    return b"".join(one.marshal() for one in frames)


@given(MESSAGES, st.integers(1, 65535))
def test_a_message_is_written_as_pika_writes_it(message: Message, channel: int) -> None:
    assert publish_frames(channel, FRAME_MAX, message) == as_pika_writes(channel, message)


def test_without_a_limit_a_body_is_one_frame() -> None:
    written = publish_frames(1, 0, Message("q", b"x" * 500_000))
    assert written.endswith(struct.pack(">BHI", 3, 1, 500_000) + b"x" * 500_000 + b"\xce")


@pytest.mark.parametrize(
    ("properties", "says"),
    [
        (Properties(headers={"x": "y" * FRAME_MAX}), "but a frame has at most"),
        (Properties(message_id="é" * 128), "at most 255 bytes"),
        (Properties(priority=256), "range"),
        (Properties(headers={"x": object()}), "no AMQP field type"),
    ],
)
def test_a_message_that_cannot_be_encoded_is_refused_before_it_is_sent(properties: Properties, says: str) -> None:
    with pytest.raises((ValueError, TypeError), match=says):
        publish_frames(1, FRAME_MAX, Message("q", b"", properties=properties))

"""The parser splits a broker's bytes into deliveries and other frames, however they arrive; pika makes the frames."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika import BasicProperties, frame, spec

from amqp_wire.deliveries import DeliveredMessage, DeliveryReader, MalformedContent
from amqp_wire.properties import MalformedProperties


def deliver(channel: int, tag: int, body: bytes, part: int = 100, exchange: str = "ex") -> list[bytes]:
    method = spec.Basic.Deliver("ctag", tag, redelivered=bool(tag % 2), exchange=exchange, routing_key=f"key.{tag}")
    parts = [body[at : at + part] for at in range(0, len(body), part)]
    properties = BasicProperties(message_id=f"m-{tag}", headers={"n": tag})
    return [
        frame.Method(channel, method).marshal(),
        frame.Header(channel, len(body), properties).marshal(),
        *(frame.Body(channel, one).marshal() for one in parts),
    ]


def read(reader: DeliveryReader, data: bytes) -> list[DeliveredMessage | bytes]:
    reader.feed(data)
    items = []
    while (item := reader.next()) is not None:
        items.append(item)
    return items


def seen(items: list[DeliveredMessage | bytes]) -> list[object]:
    return [item if isinstance(item, bytes) else
            (item.channel, item.consumer_tag, item.delivery_tag, item.redelivered, item.exchange, item.routing_key,
             item.properties.message_id, item.properties.headers, item.body) for item in items]  # fmt: skip


HEARTBEAT = frame.Heartbeat().marshal()
RETURN = [
    frame.Method(1, spec.Basic.Return(312, "NO_ROUTE", "ex", "key")).marshal(),
    frame.Header(1, 2, BasicProperties()).marshal(),
    frame.Body(1, b"hi").marshal(),
]
FIRST, SECOND, EMPTY = deliver(1, 1, b"x" * 250), deliver(2, 2, b"hello", exchange=""), deliver(1, 3, b"")
SENT = [*FIRST[:2], *SECOND[:1], HEARTBEAT, *FIRST[2:3], *SECOND[1:], *FIRST[3:], *RETURN, *EMPTY]
"""Two deliveries on two channels, their frames in between one another, and what is none."""
EXPECTED: list[object] = [
    HEARTBEAT,
    (2, "ctag", 2, False, "", "key.2", "m-2", {"n": 2}, b"hello"),
    (1, "ctag", 1, True, "ex", "key.1", "m-1", {"n": 1}, b"x" * 250),
    *RETURN,
    (1, "ctag", 3, True, "ex", "key.3", "m-3", {"n": 3}, b""),
]


def test_deliveries_come_whole_and_other_frames_as_they_are() -> None:
    assert seen(read(DeliveryReader(), b"".join(SENT))) == EXPECTED


def test_bytes_may_come_one_by_one() -> None:
    reader = DeliveryReader()
    items = [item for octet in b"".join(SENT) for item in read(reader, bytes((octet,)))]
    assert seen(items) == EXPECTED


@given(st.lists(st.integers(1, 90)))
def test_bytes_may_come_in_any_pieces(sizes: list[int]) -> None:
    data, reader, items = b"".join(SENT), DeliveryReader(), []
    for size in sizes:
        items += read(reader, data[:size])
        data = data[size:]
    assert seen(items + read(reader, data)) == EXPECTED


def test_bytes_after_a_delivery_wait_for_the_rest_of_their_frame() -> None:
    reader = DeliveryReader()
    assert seen(read(reader, b"".join(SECOND) + HEARTBEAT[:-1])) == [EXPECTED[1]]
    assert read(reader, HEARTBEAT[-1:]) == [HEARTBEAT]


def test_a_delivery_that_was_returned_stays_as_it_is_when_more_arrives() -> None:
    reader = DeliveryReader()
    (message,) = read(reader, b"".join(SECOND))
    read(reader, b"".join(EMPTY))
    assert seen([message]) == [EXPECTED[1]]


def test_the_protocol_header_of_another_version_is_handed_on() -> None:
    assert read(DeliveryReader(), b"AMQP\x00\x01\x00\x00") == [b"AMQP\x00\x01\x00\x00"]


def test_names_that_are_not_utf_8_are_bytes() -> None:
    sent = b"".join(deliver(1, 1, b"", exchange="ex")).replace(b"\x02ex", b"\x02\xff\xfe")
    (message,) = read(DeliveryReader(), sent)
    assert isinstance(message, DeliveredMessage)
    assert message.exchange == b"\xff\xfe"


@pytest.mark.parametrize(
    "sent",
    [
        FIRST[0][:-1] + b"x",
        FIRST[0].replace(b"\x04ctag", b"\x05ctag"),
        FIRST[0].replace(b"\x05key.1", b"\xffkey.1"),
        FIRST[0] + FIRST[2],
        FIRST[0] + FIRST[1] + FIRST[1],
        b"".join(SECOND[:2]) + frame.Body(2, b"longer than announced").marshal(),
        FIRST[0] + b"\x02\x00\x01\x00\x00\x00\x02\x00\x3c\xce",
        FIRST[0] + b"\x02\x00\x01\x00\x00\x00\x0d\x00\x3c\x00\x00" + bytes(8) + b"\x80\xce",
    ],
)
def test_malformed_deliveries_are_refused(sent: bytes) -> None:
    with pytest.raises((MalformedContent, MalformedProperties)):
        read(DeliveryReader(), sent)


@given(st.binary(max_size=80), st.integers(0, 80))
def test_any_bytes_are_frames_or_refused(noise: bytes, place: int) -> None:
    sent = b"".join(SECOND)
    try:
        read(DeliveryReader(), sent[:place] + noise + sent[place:])
    except (MalformedContent, MalformedProperties):
        return

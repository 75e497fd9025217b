"""The wire protocol without I/O: frames in any pieces, legal states, protocol violations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pamqp import commands

from amqp_wire.frames import HEARTBEAT_FRAME, content_frames, method_frame
from broker.errors import AmqpError
from broker.protocol.connection import PROTOCOL_HEADER, ServerConnection
from broker.protocol.events import Ack, Event, Greeting, Method, Mismatch, Publish, Violation
from broker.protocol.methods import decode_method, encode_method
from broker.protocol.states import CHANNEL, CONNECTION, ChannelState, ConnectionState


def method(channel: int, kind: type, *values: object) -> bytes:
    return method_frame(channel, encode_method(kind, *values))


def publish(body: bytes, frame_max: int = 4096, channel: int = 1) -> bytes:
    payload = encode_method(commands.Basic.Publish, 0, "exchange", "key", True, False)
    return content_frames(channel, payload, b"\x10\x00\x02", body, frame_max)


def opened() -> ServerConnection:
    connection = ServerConnection()
    connection.state = ConnectionState.OPEN
    assert list(connection.receive(method(1, commands.Channel.Open, "")))
    return connection


def in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


CONVERSATION = b"".join((
    method(1, commands.Confirm.Select, False), publish(b""), HEARTBEAT_FRAME, publish(b"x" * 10_000),
    method(1, commands.Basic.Ack, 7, True), method(1, commands.Channel.Close, 200, "bye", 0, 0),
))  # fmt: skip


def outline(events: list[Event]) -> list[object]:
    return [(type(event).__name__, getattr(event, "body", None)) for event in events]


@pytest.mark.parametrize("size", [1, 3, 4095, len(CONVERSATION)])
def test_frames_are_decoded_from_pieces_of_any_size(size: int) -> None:
    connection = opened()
    events = [event for piece in in_pieces(CONVERSATION, size) for event in connection.receive(piece)]
    assert outline(events) == [
        ("Method", None), ("Publish", b""), ("Publish", b"x" * 10_000), ("Ack", None), ("Method", None),
    ]  # fmt: skip


def test_an_incomplete_frame_waits_for_its_rest() -> None:
    connection = opened()
    whole = method(1, commands.Basic.Ack, 1, False)
    assert len(list(connection.receive(whole + whole[:-1]))) == 1
    assert list(connection.receive(whole[-1:])) == [Ack(1, 1, False)]


def test_the_content_of_a_publish_passes_through_undecoded() -> None:
    (event,) = opened().receive(publish(b"body"))
    assert event == Publish(1, "exchange", "key", True, False, b"\x10\x00\x02", b"body")


@pytest.mark.parametrize("header", [PROTOCOL_HEADER, b"AMQP\x01\x01\x00\x09"])
def test_the_protocol_header_is_accepted(header: bytes) -> None:
    connection = ServerConnection()
    events = [event for byte in in_pieces(header, 1) for event in connection.receive(byte)]
    assert events == [Greeting()]


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"AMQP\x00\x01\x00\x00", b"\x16\x03\x01\x02\x00"])
def test_another_protocol_is_a_mismatch(data: bytes) -> None:
    assert list(ServerConnection().receive(data)) == [Mismatch()]


@pytest.mark.parametrize(("data", "code"), [
    (b"\x01\x00\x01\x00\x10\x00\x00", 501),  # a frame of 1 MiB
    (b"\x01\x00\x01\x00\x00\x00\x04\x00\x0a\x00\x0a\x00", 501),  # no frame end
    (b"\x05\x00\x01\x00\x00\x00\x00\xce", 501),  # no such frame type
    (b"\x01\x00\x01\x00\x00\x00\x02\x00\x0a\xce", 501),  # half a method
    (b"\x01\x00\x01\x00\x00\x00\x04\x00\x63\x00\x63\xce", 540),  # no such method
    (b"\x03\x00\x01\x00\x00\x00\x01x\xce", 505),  # a body without a method
    (method(2, commands.Basic.Qos, 0, 0, False), 504),  # a channel that is not open
    (method(1, commands.Channel.Open, ""), 504),  # one that is
    (method(0, commands.Basic.Qos, 0, 0, False), 504),
    (method(1, commands.Connection.CloseOk), 503),
    (method(1, commands.Basic.Publish, 0, "", "q", False, False) + method(1, commands.Tx.Select), 505),
    (publish(b"xx")[:-10] + b"\x03\x00\x01\x00\x00\x00\x03xxx\xce", 501),  # more body than announced
])  # fmt: skip
def test_a_protocol_violation_has_its_code(data: bytes, code: int) -> None:
    *_, last = opened().receive(data)
    assert isinstance(last, Violation)
    assert (last.error.code, last.error.hard) == (code, True)


def test_a_message_above_the_size_limit_closes_only_its_channel() -> None:
    header = b"\x00\x3c\x00\x00" + (2**40).to_bytes(8, "big") + b"\x00\x00"
    start = method(1, commands.Basic.Publish, 0, "", "q", False, False)
    (event,) = opened().receive(start + b"\x02\x00\x01" + len(header).to_bytes(4, "big") + header + b"\xce")
    assert isinstance(event, Violation)
    assert (event.error.code, event.error.hard) == (406, False)


def test_a_closing_channel_ignores_everything_except_close_ok() -> None:
    connection = opened()
    connection.close_channel(1, AmqpError(404, "no queue"))
    assert list(connection.receive(publish(b"late") + method(1, commands.Basic.Get, 0, "q", False))) == []
    assert list(connection.receive(method(1, commands.Channel.CloseOk))) == []
    assert len(list(connection.receive(method(1, commands.Channel.Open, "")))) == 1


def test_a_closing_connection_ignores_everything_except_close_and_close_ok() -> None:
    connection = opened()
    connection.close(AmqpError(320, "shutdown"))
    assert list(connection.receive(publish(b"late") + method(2, commands.Channel.Open, ""))) == []
    (event,) = connection.receive(method(0, commands.Connection.CloseOk))
    assert isinstance(event, Method)
    assert connection.state is ConnectionState.CLOSED


def test_more_channels_than_negotiated_are_refused() -> None:
    connection = opened()
    connection.channel_max = 1
    (event,) = connection.receive(method(2, commands.Channel.Open, ""))
    assert isinstance(event, Violation)
    assert event.error.code == 530


def test_every_state_is_in_the_tables() -> None:
    assert set(CONNECTION) == set(ConnectionState)
    assert set(CHANNEL) == set(ChannelState)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(CONVERSATION) - 1), st.integers(0, 255)), min_size=1, max_size=5),
       st.integers(1, 2000))  # fmt: skip
def test_damaged_frames_end_in_events_never_in_an_exception(damage: list[tuple[int, int]], size: int) -> None:
    data = bytearray(CONVERSATION)
    for at, byte in damage:
        data[at] = byte
    connection = opened()
    for piece in in_pieces(bytes(data), size):
        for event in connection.receive(piece):
            if isinstance(event, Violation) and event.error.hard:
                return


@given(st.binary(max_size=100))
def test_any_method_payload_is_decoded_or_refused(payload: bytes) -> None:
    with suppress(AmqpError):
        assert decode_method(payload).name


def test_methods_survive_encoding() -> None:
    payload = encode_method(commands.Queue.Declare, 0, "q" * 200, False, True, False, True, False, {"x-expires": 5})
    decoded = decode_method(payload)
    assert isinstance(decoded, commands.Queue.Declare)
    assert (decoded.queue, decoded.durable, decoded.exclusive, decoded.auto_delete) == ("q" * 200, True, False, True)
    assert decoded.arguments == {"x-expires": 5}


def test_a_large_body_is_cut_to_the_frame_size() -> None:
    data = content_frames(1, b"method", b"\x00\x00", b"x" * 10_000, 4096)
    sizes = []
    while data:
        length = int.from_bytes(data[3:7], "big")
        sizes.append((data[0], length))
        assert data[7 + length] == 0xCE
        data = data[8 + length :]
    assert sizes == [(1, 6), (2, 14), (3, 4088), (3, 4088), (3, 1824)]


def test_incomplete_messages_on_many_channels_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.protocol.connection.MAX_ASSEMBLED", 10_000)
    connection = opened()
    unfinished = publish(b"x" * 8000)[: -(8000 - 4088) - 8]
    assert list(connection.receive(unfinished)) == []
    list(connection.receive(method(2, commands.Channel.Open, "")))
    assert list(connection.receive(publish(b"x" * 8000, channel=2)[: -(8000 - 4088) - 8])) == []
    list(connection.receive(method(3, commands.Channel.Open, "")))
    (event,) = connection.receive(publish(b"x" * 8000, channel=3)[: -(8000 - 4088) - 8])
    assert isinstance(event, Violation)
    assert event.error.code == 506


def test_a_frame_with_a_payload_of_frame_max_is_accepted() -> None:
    connection = opened()
    connection.frame_max = 4096
    list(connection.receive(publish(b"x" * 4096, frame_max=4104)))
    (event,) = connection.receive(publish(b"x" * 4097, frame_max=8192))
    assert isinstance(event, Violation)
    assert event.error.code == 501

"""Opening, keeping and closing connections and channels, with the reply codes of errors."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import (
    AMQPConnectionError,
    ConnectionClosedByBroker,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

from tests.support.amqp import refused
from tests.support.node import BrokerNode
from tests.support.processes import wait_until

Connect = Callable[..., pika.BlockingConnection]


def test_a_wrong_password_is_refused(connect: Connect) -> None:
    with pytest.raises(ProbableAuthenticationError) as refusal:
        connect(credentials=pika.PlainCredentials("guest", "wrong"))
    assert "403" in str(refusal.value)
    assert "ACCESS_REFUSED" in str(refusal.value)


def test_an_unknown_vhost_is_refused(connect: Connect) -> None:
    with pytest.raises((ProbableAccessDeniedError, ConnectionClosedByBroker)) as refusal:
        connect(virtual_host="nowhere")
    assert "530" in str(refusal.value)
    assert "vhost nowhere not found" in str(refusal.value)


def test_the_smaller_limits_are_negotiated(connect: Connect) -> None:
    connection = connect(frame_max=8192, channel_max=5, heartbeat=7)
    params = connection._impl.params
    assert (params.frame_max, params.channel_max, params.heartbeat) == (8192, 5, 7)


def test_the_server_sends_its_properties(connect: Connect) -> None:
    properties = connect()._impl.server_properties
    for capability in (
        "publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify",
        "connection.blocked", "consumer_priorities", "authentication_failure_close", "per_consumer_qos",
        "direct_reply_to",
    ):  # fmt: skip
        assert properties["capabilities"][capability] is True
    assert {"product", "version", "platform", "copyright", "information", "cluster_name"} <= set(properties)


def test_a_closed_channel_leaves_the_connection_and_its_number_usable(connect: Connect) -> None:
    connection = connect()
    first = connection.channel()
    number = first.channel_number
    with refused(404):
        first.queue_declare("nobody has this queue", passive=True)
    assert connection.is_open
    again = connection.channel(number)
    assert again.queue_declare("", exclusive=True).method.queue


def test_a_connection_has_many_channels(connect: Connect) -> None:
    connection = connect()
    channels = [connection.channel() for _ in range(50)]
    assert len({channel.channel_number for channel in channels}) == 50
    assert all(channel.queue_declare("", exclusive=True).method.queue for channel in channels)


def test_the_broker_closes_a_connection_with_a_reason(broker: BrokerNode, connect: Connect) -> None:
    connection = connect()
    name = wait_until(broker.connections, 15, "the connection being listed")[0]
    assert broker.management.delete("connections", name, headers={"X-Reason": "because"}).status_code == 204
    with pytest.raises(ConnectionClosedByBroker) as closed:
        connection.process_data_events(10)
    assert (closed.value.reply_code, closed.value.reply_text) == (320, "CONNECTION_FORCED - because")


def test_another_protocol_version_is_answered_with_the_protocol_header(broker: BrokerNode) -> None:
    with socket.create_connection(("127.0.0.1", broker.port), 10) as stranger:
        stranger.sendall(b"AMQP\x02\x02\x02\x02")
        assert _read_to_end(stranger) == b"AMQP\x00\x00\x09\x01"


def test_http_is_answered_with_the_protocol_header(broker: BrokerNode) -> None:
    with socket.create_connection(("127.0.0.1", broker.port), 10) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert _read_to_end(stranger) == b"AMQP\x00\x00\x09\x01"


def _read_to_end(peer: socket.socket) -> bytes:
    peer.settimeout(30)
    data = b""
    try:
        while chunk := peer.recv(4096):
            data += chunk
    except ConnectionResetError:
        pass
    return data


def raw_frame(channel: BlockingChannel, kind: int, number: int, payload: bytes, end: int = 0xCE) -> None:
    """Send a frame without pika's own checks, and read the reply."""
    send_raw(channel, kind, number, payload, end)
    channel.connection.process_data_events(10)


def send_raw(channel: BlockingChannel, kind: int, number: int, payload: bytes, end: int = 0xCE) -> None:
    """Send a frame without pika's own checks."""
    frame = struct.pack(">BHI", kind, number, len(payload)) + payload + bytes([end])
    channel.connection._impl._output_marshaled_frames([frame])


def test_an_unknown_method_closes_the_connection(channel: BlockingChannel) -> None:
    with pytest.raises(AMQPConnectionError):  # RabbitMQ does not say why
        raw_frame(channel, 1, channel.channel_number, struct.pack(">HH", 60, 199))
    assert channel.connection.is_closed


def test_a_frame_without_an_end_octet_closes_the_connection(channel: BlockingChannel) -> None:
    with refused(501) as refusal:
        raw_frame(channel, 1, channel.channel_number, struct.pack(">HH", 20, 10), end=0)
    assert refusal.connection_closed


def test_a_method_on_a_channel_that_is_not_open_closes_the_connection(channel: BlockingChannel) -> None:
    with refused(504) as refusal:
        raw_frame(channel, 1, 77, struct.pack(">HHIHB", 60, 10, 0, 1, 0))
    assert refusal.connection_closed


def test_opening_a_channel_twice_closes_the_connection(channel: BlockingChannel) -> None:
    with refused(504) as refusal:
        raw_frame(channel, 1, channel.channel_number, struct.pack(">HHB", 20, 10, 0))
    assert refusal.connection_closed


def test_a_content_header_without_a_method_closes_the_connection(channel: BlockingChannel) -> None:
    with refused(505) as refusal:
        raw_frame(channel, 2, channel.channel_number, struct.pack(">HHQH", 60, 0, 0, 0))
    assert refusal.connection_closed


@pytest.mark.parametrize(("number", "payload", "code"), [(1, b"", 505), (77, b"", 505), (0, b"x", 501)])
def test_a_heartbeat_must_be_empty_and_on_channel_0(
    channel: BlockingChannel, number: int, payload: bytes, code: int
) -> None:
    with refused(code) as refusal:
        raw_frame(channel, 8, number, payload)
    assert refusal.connection_closed


@pytest.mark.parametrize(("size", "accepted"), [(4096, True), (4097, False)])
def test_a_frame_before_tuning_has_at_most_4096_bytes(broker: BrokerNode, size: int, accepted: bool) -> None:
    arguments = {"client_properties": {"padding": ""}, "mechanism": "PLAIN", "response": "\0guest\0guest",
                 "locale": "en_US"}  # fmt: skip
    method = struct.pack(">HH", 10, 11)
    bare = method + b"".join(pika.spec.Connection.StartOk(**arguments).encode())
    arguments["client_properties"] = {"padding": "x" * (size - len(bare))}
    payload = method + b"".join(pika.spec.Connection.StartOk(**arguments).encode())
    assert len(payload) == size
    with socket.create_connection(("127.0.0.1", broker.port), timeout=30) as peer:
        peer.sendall(b"AMQP\0\0\x09\x01")
        peer.sendall(struct.pack(">BHI", 1, 0, size) + payload + b"\xce")
        peer.shutdown(socket.SHUT_WR)
        tuned = struct.pack(">HH", 10, 30) in _read_to_end(peer)
    assert tuned is accepted


def test_a_frame_larger_than_negotiated_closes_the_connection(connect: Connect) -> None:
    channel = connect(frame_max=4096).channel()
    with refused(501) as refusal:
        raw_frame(channel, 3, channel.channel_number, b"x" * 5000)
    assert refusal.connection_closed


def test_a_silent_client_is_dropped_after_its_heartbeat(connect: Connect, broker: BrokerNode) -> None:
    connect(heartbeat=1)  # sends no heartbeats: nothing processes its events
    name = wait_until(broker.connections, 15, "the connection being listed")
    wait_until(lambda: name[0] not in broker.connections(), 15, "the silent client being dropped")


def test_heartbeats_keep_an_idle_connection_open(connect: Connect) -> None:
    connection = connect(heartbeat=1)
    connection.process_data_events(3.5)
    assert connection.is_open
    assert connection.channel().is_open

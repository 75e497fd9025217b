"""The broker on real sockets: TLS, heartbeats, and misbehaving clients that must not affect others."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pamqp import commands
from pika.adapters.blocking_connection import BlockingChannel

import broker
from amqp_wire.frames import HEARTBEAT_FRAME, content_frames, method_frame
from broker.periods import Periods
from broker.protocol.methods import encode_method
from broker.server import Server
from broker.session.transport import ConnectionLimits
from tests.broker.unit.test_command import command
from tests.support.processes import wait_until


@pytest.fixture
def url() -> Iterator[str]:
    with broker.running() as amqp_url:
        yield amqp_url


def frame(channel: int, method: type, *values: Any) -> bytes:
    return method_frame(channel, encode_method(method, *values))


def logged_in(url: str, heartbeat: int = 0) -> socket.socket:
    """Return a socket with channel 1 open."""
    parameters = pika.URLParameters(url)
    line = socket.create_connection((parameters.host, parameters.port), timeout=20)
    line.sendall(b"AMQP\x00\x00\x09\x01" + b"".join((
        frame(0, commands.Connection.StartOk, {}, "PLAIN", b"\0guest\0guest", "en_US"),
        frame(0, commands.Connection.TuneOk, 10, 131072, heartbeat),
        frame(0, commands.Connection.Open, "/", "", False),
        frame(1, commands.Channel.Open, ""),
    )))  # fmt: skip
    return line


def everything(line: socket.socket) -> bytes:
    """Read until the other side closes."""
    received = b""
    try:
        while data := line.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    return received


def works(url: str) -> bool:
    """Return whether another client is served."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_publish("", queue, b"x")
    found = channel.basic_get(queue)[2] == b"x"
    connection.close()
    return found


def test_deliveries_pause_for_a_client_that_does_not_read(url: str) -> None:
    line = logged_in(url)
    line.sendall(frame(1, commands.Queue.Declare, 0, "big", False, False, False, False, False, {})
                 + frame(1, commands.Basic.Consume, 0, "big", "t", False, True, False, False, {}))  # fmt: skip
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.confirm_delivery()
    for _ in range(60):
        channel.basic_publish("", "big", bytes(1_000_000))
    assert channel.queue_declare("big", passive=True).method.message_count > 30
    assert works(url)
    line.close()
    connection.close()


def test_a_silent_client_gets_heartbeats_and_is_dropped(url: str) -> None:
    received = everything(logged_in(url, heartbeat=1))
    assert received.count(HEARTBEAT_FRAME) >= 2


def test_a_client_that_never_logs_in_is_dropped() -> None:
    with broker.running(limits=ConnectionLimits(handshake_timeout=0.2)) as url:
        parameters = pika.URLParameters(url)
        with socket.create_connection((parameters.host, parameters.port), timeout=20) as line:
            line.sendall(b"AMQP")
            assert everything(line) == b""


BODY = bytes(100_000)


def subscribe(url: str, line: socket.socket, messages: int) -> BlockingChannel:
    """Consume `messages` large messages on `line`. Return another client's channel."""
    line.sendall(frame(1, commands.Queue.Declare, 0, "big", False, False, False, False, False, {})
                 + frame(1, commands.Basic.Consume, 0, "big", "t", False, False, False, False, {}))  # fmt: skip
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.confirm_delivery()
    for _ in range(messages):
        channel.basic_publish("", "big", BODY)
    return channel


def test_a_client_that_stops_reading_is_dropped_and_its_messages_are_requeued() -> None:
    with broker.running(limits=ConnectionLimits(send_timeout=0.3)) as url:
        line = logged_in(url)
        channel = subscribe(url, line, 200)
        wait_until(lambda: channel.queue_declare("big", passive=True).method.message_count == 200, 20, "the return")
        assert channel.queue_declare("big", passive=True).method.consumer_count == 0
        channel.connection.close()
        line.close()


def test_a_client_that_reads_slowly_is_not_dropped() -> None:
    """The client needs several timeouts for everything, but reads some in each."""
    with broker.running(limits=ConnectionLimits(send_timeout=1.5)) as url:
        line = logged_in(url)
        channel = subscribe(url, line, 500)
        received, began = 0, time.monotonic()
        while received < 500 * len(BODY):
            data = line.recv(1_000_000)
            assert data, f"the client was dropped after {time.monotonic() - began:.1f} s"
            received += len(data)
            if time.monotonic() - began < 5:
                channel.connection.process_data_events(0.05)
        channel.connection.close()
        line.close()


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"AMQP\x00\x00\x09\x01" + b"\xff" * 100])
def test_garbage_closes_the_connection(url: str, garbage: bytes) -> None:
    parameters = pika.URLParameters(url)
    with socket.create_connection((parameters.host, parameters.port), timeout=20) as line:
        line.sendall(garbage)
        line.shutdown(socket.SHUT_WR)
        assert b"AMQP" in everything(line)
    assert works(url)


def test_an_incomplete_message_is_dropped_with_its_connection(url: str) -> None:
    line = logged_in(url)
    line.sendall(frame(1, commands.Queue.Declare, 0, "q", False, False, False, False, False, {}))
    payload = encode_method(commands.Basic.Publish, 0, "", "q", False, False)
    line.sendall(content_frames(1, payload, b"\0\0", bytes(5000), 4096)[:-100])
    line.close()
    assert works(url)
    connection = pika.BlockingConnection(pika.URLParameters(url))
    assert connection.channel().queue_declare("q", passive=True).method.message_count == 0
    connection.close()


def certificate(directory: Path) -> tuple[Path, Path]:
    """Make a self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now).not_valid_after(now + datetime.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    paths = directory / "cert.pem", directory / "key.pem"
    paths[0].write_bytes(built.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                           serialization.NoEncryption()))  # fmt: skip
    return paths


def test_tls_is_supported(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    with command("--port", "0", "--tls-cert", str(cert), "--tls-key", str(key)) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("ready amqps://127.0.0.1:")
        context = ssl.create_default_context(cafile=str(cert))
        parameters = pika.ConnectionParameters("127.0.0.1", int(line.rsplit(":", 1)[1]),
                                               ssl_options=pika.SSLOptions(context, "localhost"))  # fmt: skip
        connection = pika.BlockingConnection(parameters)
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_publish("", queue, bytes(500_000))
        assert channel.basic_get(queue)[2] == bytes(500_000)
        connection.close()


def test_a_nearly_full_disk_raises_an_alarm_until_space_is_free_each_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        server = Server(tmp_path, periods=Periods(disk=0.01))
        await server.start()
        for limit, alarms in 3 * ((2**62, {"disk"}), (0, set())):
            server.disk_free_limit = limit
            async with asyncio.timeout(10):
                while server.alarms != alarms:
                    await asyncio.sleep(0.01)
        await server.stop()

    asyncio.run(scenario())

"""The embedded broker's management port with malformed, slow, greedy or hostile clients."""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.embedded import EmbeddedNode
from tests.support.server import running

LOGIN = b"Authorization: Basic " + base64.b64encode(b"guest:guest") + b"\r\n"
PUBLISH = b"POST /api/exchanges/%2F/amq.default/publish HTTP/1.1\r\n"


@pytest.fixture
def client(embedded: EmbeddedNode) -> Iterator[socket.socket]:
    """Open a socket to the management port."""
    with socket.create_connection(("127.0.0.1", embedded.management_port), 10) as one:
        yield one


def answer(client: socket.socket, request: bytes) -> bytes:
    """Read the response up to the end of its head."""
    client.settimeout(10)
    with suppress(ConnectionError):
        client.sendall(request)
    seen = b""
    with suppress(ConnectionError):
        while b"\r\n\r\n" not in seen and (chunk := client.recv(65536)):
            seen += chunk
    return seen


def test_a_stop_while_clients_are_connected_logs_no_traceback(tmp_path: Path) -> None:
    with running(EmbeddedNode(tmp_path)) as node:
        with socket.create_connection(("127.0.0.1", node.management_port), 10) as client:
            assert b"200" in answer(client, b"GET /api/overview HTTP/1.1\r\n" + LOGIN + b"\r\n")
            node.stop()
        assert "Traceback" not in node.process.output()


def is_closed(client: socket.socket) -> bool:
    """Return whether the broker has closed the connection."""
    client.settimeout(10)
    try:
        while client.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /api/overview HTTP/2.0\r\n\r\n", 400),
        (b"GET api HTTP/1.1\r\n\r\n", 400),
        (b"GET /api/overview HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /api/overview HTTP/1.1\r\nname : value\r\n\r\n", 400),
        (PUBLISH + LOGIN + b"Content-Length: -1\r\n\r\n", 400),
        (PUBLISH + LOGIN + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        (PUBLISH + LOGIN + b"Content-Length: 99999999999999\r\n\r\n", 413),
        (PUBLISH + LOGIN + b"Content-Length: 20000001\r\n\r\n", 413),
        (PUBLISH + LOGIN + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", 431),
    ],
)
def test_malformed_requests_are_refused_and_close_the_connection(
    client: socket.socket, request_bytes: bytes, status: int
) -> None:
    assert answer(client, request_bytes).startswith(f"HTTP/1.1 {status} ".encode())
    assert is_closed(client)


def test_one_connection_serves_many_requests(client: socket.socket) -> None:
    for _ in range(3):
        assert answer(client, b"GET /api/whoami HTTP/1.1\r\n" + LOGIN + b"\r\n").startswith(b"HTTP/1.1 200 ")
    last = answer(client, b"GET /api/whoami HTTP/1.1\r\nConnection: close\r\n" + LOGIN + b"\r\n")
    assert b"connection: close" in last
    assert is_closed(client)


def test_pipelined_requests_are_answered_in_order(client: socket.socket) -> None:
    client.sendall(
        b"GET /api/whoami HTTP/1.1\r\n" + LOGIN + b"\r\n" + b"GET /api/nothing HTTP/1.1\r\n" + LOGIN + b"\r\n"
    )
    seen = b""
    while seen.count(b"HTTP/1.1") < 2 or not seen.endswith(b"}"):
        seen += client.recv(65536)
    assert seen.index(b"HTTP/1.1 200") < seen.index(b"HTTP/1.1 404")


def test_an_unauthenticated_request_is_refused_before_its_body_is_read(client: socket.socket) -> None:
    assert answer(client, PUBLISH + b"Content-Length: 20000000\r\n\r\n").startswith(b"HTTP/1.1 401 ")
    assert is_closed(client)


def test_expect_100_continue_is_answered(client: socket.socket) -> None:
    body = b'{"properties":{},"routing_key":"none","payload":"x","payload_encoding":"string"}'
    head = PUBLISH + LOGIN + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert answer(client, head) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer(client, body).startswith(b"HTTP/1.1 200 ")


def test_a_head_request_has_no_body(client: socket.socket) -> None:
    seen = answer(client, b"HEAD /api/whoami HTTP/1.1\r\nConnection: close\r\n" + LOGIN + b"\r\n")
    assert seen.startswith(b"HTTP/1.1 200 ")
    assert seen.endswith(b"\r\n\r\n")


def test_a_wrong_method_is_answered_with_the_allowed_ones(client: socket.socket) -> None:
    seen = answer(client, b"DELETE /api/overview HTTP/1.1\r\n" + LOGIN + b"\r\n")
    assert seen.startswith(b"HTTP/1.1 405 ")
    assert b"allow: HEAD, GET, OPTIONS\r\n" in seen


def test_deeply_nested_json_is_refused(embedded: EmbeddedNode) -> None:
    deep: object = 1
    for _ in range(200):
        deep = {"a": deep}
    answered = embedded.management.put("queues", "/", "q", body={"arguments": {"x": deep}})
    assert answered.status_code in (201, 400)
    assert embedded.management.get("overview").status_code == 200


def test_a_flood_of_connections_does_not_affect_amqp(embedded: EmbeddedNode) -> None:
    flood = [socket.create_connection(("127.0.0.1", embedded.management_port), 10) for _ in range(200)]
    try:
        turned_away = [one for one in flood[128:] if answer(one, b"").startswith(b"HTTP/1.1 503 ")]
        assert turned_away
        connection = embedded.connect()
        assert connection.channel().queue_declare("", exclusive=True).method.queue
        connection.close()
    finally:
        for one in flood:
            one.close()
    deadline = time.monotonic() + 10
    while embedded.management.get("overview").status_code != 200:
        assert time.monotonic() < deadline

"""A request that waits for the broker, the store, the management API or its client delays no other request."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
import requests

from tests.api.client import Gunicorn
from tests.api.conftest import database_of
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.proxy import Proxy
from tests.support.sockets import readable
from tests.support.store import StoreNode

MakeGunicorn = Callable[..., Gunicorn]
ONE_WORKER = ("--workers", "1")
HELD_UP = 4.0
"""Seconds; each of these waits would take longer if other requests had to wait for it."""


class Publishing:
    """A service with one worker, a queue, and clients that publish to it."""

    def __init__(self, server: Gunicorn, queue: str) -> None:
        self.server, self.queue = server, queue
        wait_until(lambda: server.call("GET", "/health/ready").ok, 20, "readiness")
        self.token = server.login()
        assert server.call("POST", "/createQueue", self.token, json={"queueName": queue}).ok

    def publish(self, token: str = "") -> requests.Response:
        body = {"queueName": self.queue, "message": "x"}
        return self.server.call("POST", "/messagePublish", token or self.token, json=body)

    def request(self, token: str = "", messages: int = 1, message: str = "x", **to: str) -> bytes:
        """The same as bytes; or several, whose answer is longer than the request; or `to` another place."""
        one = {**(to or {"queueName": self.queue}), "message": message}
        body = json.dumps(one if messages == 1 else {"messages": [one] * messages}).encode()
        head = f"POST /messagePublish HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token or self.token}\r\n"
        return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body

    def held(self) -> int:
        """Messages in the queue."""
        found = self.server.call("GET", f"/getQueue?queueName={self.queue}", self.token).json()
        return int(found["messages"])

    @contextmanager
    def clients(self, count: int) -> Iterator[list[socket.socket]]:
        with ExitStack() as stack:
            made = [
                stack.enter_context(socket.create_connection(("127.0.0.1", self.server.port))) for _ in range(count)
            ]
            for client in made:
                client.settimeout(30)
            yield made


@pytest.fixture
def publishing(gunicorn: MakeGunicorn, broker: BrokerNode, unique_name: str) -> Publishing:
    return Publishing(gunicorn(*ONE_WORKER, **broker.settings), unique_name)


def whole_answer(client: socket.socket) -> bytes:
    """The answer to one request; ours end with this."""
    received = b""
    while not received.endswith(b"}\n"):
        more = client.recv(65536)
        assert more, received
        received += more
    return received


def test_requests_that_wait_for_the_broker_delay_no_other_request(publishing: Publishing, broker: BrokerNode) -> None:
    with publishing.clients(20) as clients:
        broker.suspend()
        try:
            for client in clients:
                client.sendall(publishing.request())
            assert publishing.server.call("GET", "/health/live").status_code == 200
            assert not readable(clients)
        finally:
            broker.resume()
        assert [client.recv(4096)[:12] for client in clients] == [b"HTTP/1.1 200"] * 20
    wait_until(lambda: publishing.held() == 20, message="as many as were answered for")


def test_a_publish_that_waits_for_longer_than_its_timeout_is_answered_504(
    gunicorn: MakeGunicorn, broker: BrokerNode, unique_name: str
) -> None:
    publishing = Publishing(gunicorn(*ONE_WORKER, **broker.settings, PUBLISH_TIMEOUT="1"), unique_name)
    broker.suspend()
    try:
        answer = publishing.publish()
    finally:
        broker.resume()
    assert (answer.status_code, answer.json()["code"]) == (504, "publish_unconfirmed")
    assert "in time" in answer.json()["detail"]


@pytest.mark.broker_independent
def test_a_token_lookup_that_waits_for_the_store_delays_no_other_request(
    gunicorn: MakeGunicorn, broker: BrokerNode, store: StoreNode, unique_name: str
) -> None:
    with Proxy(store.port) as to_store:
        uri = f"mongodb://127.0.0.1:{to_store.port}/{database_of(unique_name)}?directConnection=true"
        publishing = Publishing(gunicorn(*ONE_WORKER, **broker.settings, MONGO_URI=uri), unique_name)
        with publishing.clients(2) as [asking, known]:
            known.sendall(publishing.request())
            assert whole_answer(known).startswith(b"HTTP/1.1 200 "), "now the token is known, for a moment"
            to_store.stall()
            asking.sendall(publishing.request(token="unknown"))
            known.sendall(publishing.request())
            assert known.recv(4096).startswith(b"HTTP/1.1 200 ")
            assert not readable([asking])
            to_store.flow()
            assert asking.recv(4096).startswith(b"HTTP/1.1 401 ")


@pytest.mark.broker_independent
def test_a_management_api_that_does_not_answer_delays_no_other_request(
    gunicorn: MakeGunicorn, broker: BrokerNode, unique_name: str
) -> None:
    with Proxy(broker.management_port) as management:
        places = {**broker.settings, "RABBITMQ_MANAGEMENT_URL": f"http://127.0.0.1:{management.port}"}
        publishing = Publishing(gunicorn(*ONE_WORKER, **places), unique_name)
        token_to_look_up = publishing.server.login()
        management.stall()
        with publishing.clients(40) as clients:
            for client in clients:
                client.sendall(publishing.request(exchange="amq.direct"))
            began = time.monotonic()
            assert publishing.publish(token_to_look_up).status_code == 200
            assert time.monotonic() - began < HELD_UP


@pytest.mark.broker_independent
def test_a_client_that_reads_no_answers_delays_no_other_request(publishing: Publishing) -> None:
    def answered(count: int) -> Callable[[], bool]:
        return lambda: publishing.server.process.output().count('"/messagePublish"') == count

    with publishing.clients(1) as [deaf]:
        with suppress(AssertionError):
            for count in range(1, 200):  # until what is on its way to the client fills all buffers
                deaf.sendall(publishing.request(messages=500))
                wait_until(answered(count), 1)
        began = time.monotonic()
        assert publishing.publish().status_code == 200
        assert time.monotonic() - began < HELD_UP
    assert "Traceback" not in publishing.server.process.output()


@pytest.mark.broker_independent
def test_pipelined_requests_are_answered_in_order(publishing: Publishing) -> None:
    with publishing.clients(1) as [client]:
        client.sendall(publishing.request() + publishing.request(token="wrong") + publishing.request())
        received = b""
        while received.count(b"HTTP/1.1 ") < 3 or not received.endswith(b"}\n"):
            received += client.recv(65536)
        assert [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]] == [b"200", b"401", b"200"]


@pytest.mark.broker_independent
def test_requests_of_one_connection_share_nothing(publishing: Publishing, broker: BrokerNode) -> None:
    def answer(client: socket.socket, request: bytes) -> bytes:
        client.sendall(request)
        return whole_answer(client)[9:12]

    usual, longer = publishing.request(), publishing.request(message="longer")
    with publishing.clients(1) as [client]:
        answers = [answer(client, request) for request in (usual, usual, longer, publishing.request("wrong"), usual)]
        named = usual.replace(b"Host: x", b"Host: x\r\nX-Correlation-ID: named")
        answers += [answer(client, request) for request in (named, longer)]
    assert answers == [b"200", b"200", b"200", b"401", b"200", b"200", b"200"]
    with broker.connect() as connection:
        channel = connection.channel()
        held = [channel.basic_get(publishing.queue, auto_ack=True) for _ in range(6)]
    found = [(body, properties.correlation_id) for _, properties, body in held]
    assert found == [(b"x", None)] * 2 + [(b"longer", None), (b"x", None), (b"x", "named"), (b"longer", None)]


@pytest.mark.broker_independent
def test_a_body_is_never_parsed_as_a_request(publishing: Publishing) -> None:
    head = publishing.request().partition(b"Content-Length")[0]
    hidden = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    requests = [head + b"\r\n", head + b"Content-Length: %d\r\n\r\n" % len(hidden) + hidden, publishing.request()]
    received = b""
    with publishing.clients(1) as [client]:
        for number, request in enumerate(requests, 1):
            client.sendall(request)
            while received.count(b"HTTP/1.1 ") < number or not received.endswith(b"}\n"):
                received += client.recv(65536)
    statuses = [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"400", b"400", b"200"], "the body was not answered as a request"
    assert b"messageId" in received


@pytest.mark.broker_independent
def test_a_body_that_is_still_to_come_delays_no_other_request_however_its_length_is_written(
    publishing: Publishing,
) -> None:
    request = publishing.request()
    head, end, body = request.replace(b"Content-Length: ", b"Content-Length: " + b"0" * 20).partition(b"\r\n\r\n")
    with publishing.clients(1) as [client]:
        client.sendall(head + end)
        assert publishing.server.live()
        client.sendall(body)
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.broker_independent
def test_liveness_is_answered_while_requests_with_idempotency_keys_wait(
    publishing: Publishing, broker: BrokerNode
) -> None:
    with publishing.clients(3) as clients:
        broker.suspend()
        try:
            for client in clients:
                client.sendall(publishing.request().replace(b"Host: x", b"Host: x\r\nIdempotency-Key: %d" % id(client)))
            began = time.monotonic()
            assert publishing.server.call("GET", "/health/live").status_code == 200
            assert time.monotonic() - began < HELD_UP
            assert not readable(clients)
        finally:
            broker.resume()
        assert [client.recv(4096)[:12] for client in clients] == [b"HTTP/1.1 200"] * 3


@pytest.mark.broker_independent
def test_clients_that_keep_their_side_open_after_the_last_answer_delay_no_other_request(publishing: Publishing) -> None:
    with publishing.clients(5) as clients:
        for client in clients:
            client.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert [client.recv(4096)[:12] for client in clients] == [b"HTTP/1.1 200"] * 5
        began = time.monotonic()
        assert publishing.publish().status_code == 200
        assert time.monotonic() - began < HELD_UP

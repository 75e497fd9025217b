"""Requests without TLS go over connections that are kept: by whom they are closed, when, and what happens then."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from delivery.request import RequestHeaders
from domain.consumer import ConsumerSpec
from domain.message import Properties
from domain.outcome import Answer, ErrorClass
from gateway.http import pool
from gateway.http.client import HttpClient
from gateway.http.endpoint import Endpoint
from tests.delivery.client import Client, consumer_of
from tests.support.target import Target

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Serve = Callable[[socket.socket], None]


class Server:
    """Accepts connections and serves each in a thread; counts them, and those that have ended."""

    def __init__(self, serve: Serve) -> None:
        self._serve, self.opened, self.ended = serve, 0, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                one, _ = self._listener.accept()
            except OSError:
                return
            self.opened += 1
            threading.Thread(target=self._run, args=(one,), daemon=True).start()

    def _run(self, one: socket.socket) -> None:
        try:
            with one:
                self._serve(one)
        except OSError:
            pass
        self.ended += 1

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def serving(serve: Serve) -> Iterator[Server]:
    server = Server(serve)
    yield server
    server.close()


def answers(one: socket.socket) -> None:
    """Answer every request, until the client closes the connection."""
    while one.recv(65_536):
        one.sendall(OK)


@pytest.fixture
def client() -> Iterator[Client]:
    """Without a guard."""
    one = Client()
    yield one
    one.close()


@pytest.fixture
def brief() -> Iterator[Client]:
    """Its connections are used for 0.5 s, and rest for 0.2 s at most."""
    one = Client()
    one.http = HttpClient(one.loop, connection_age=0.5, idle=0.2)
    yield one
    one.close()


def test_requests_share_connections_and_no_more_are_opened_than_are_needed_at_once(client: Client) -> None:
    with serving(answers) as server:
        for _ in range(20):
            assert client.post(server.url).status == 200
        assert server.opened == 1
        for _ in range(2):
            assert [answer.status for answer in client.at_once(server.url, 5)] == [200] * 5
        assert server.opened == 5
    assert client.http.in_flight == 0


def test_a_connection_is_used_no_longer_than_its_age_and_no_longer_idle_than_it_may(brief: Client) -> None:
    with serving(answers) as server:
        for _ in range(16):  # 1.6 s
            assert brief.post(server.url).status == 200
            brief.run_for(0.1)
        assert 3 <= server.opened <= 6
        brief.run_for(0.5)
        assert server.ended == server.opened, "no idle connection is left open"
        assert brief.post(server.url).status == 200


def test_no_more_than_the_most_connections_are_idle(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "MOST_IDLE", 3)
    with serving(answers) as server, serving(answers) as other:
        assert client.post(other.url).status == 200
        client.at_once(server.url, 8)
        client.run_for(0.1)
        assert (server.opened - server.ended, other.ended) == (3, 1), "the one that rests for longest is closed first"


def test_a_request_on_a_connection_that_the_target_has_just_closed_is_sent_again(client: Client) -> None:
    def answers_once(one: socket.socket) -> None:
        assert one.recv(65_536)
        one.sendall(OK)
        one.recv(65_536)  # the next request, which gets no answer

    with serving(answers_once) as server:
        for _ in range(5):
            assert client.post(server.url).status == 200
        assert server.opened == 5


def test_a_connection_that_the_target_closes_while_it_is_idle_is_not_used(client: Client) -> None:
    def closes(one: socket.socket) -> None:
        assert one.recv(65_536)
        one.sendall(OK)

    with serving(closes) as server:
        for _ in range(3):
            assert client.post(server.url).status == 200
            client.run_for(0.05)
            assert client.http.pool.take(server.url[7:-1], 0) is None
        assert server.opened == 3


def test_a_target_that_closes_each_connection_without_an_answer_is_not_asked_again(client: Client) -> None:
    with serving(lambda one: one.recv(65_536) and None) as server:
        answer = client.post(server.url)
        assert (answer.error, server.opened) == (ErrorClass.RESET, 1)
        assert answer.detail == "the answer ends before its first byte"


def test_a_connection_with_bytes_that_no_request_asked_for_is_not_used_again(client: Client) -> None:
    def says_more(one: socket.socket) -> None:
        assert one.recv(65_536)
        one.sendall(OK + b"HTTP/1.1 500 Never\r\nContent-Length: 0\r\n\r\n")
        one.recv(1)

    with serving(says_more) as server:
        assert [client.post(server.url).status for _ in range(3)] == [200] * 3
        assert server.opened == 3


def test_a_large_body_arrives_whole_at_a_target_that_reads_slowly(client: Client) -> None:
    body, received = bytes(range(256)) * 20_000, bytearray()

    def reads(one: socket.socket) -> None:
        while not received.endswith(body[-4096:]) or len(received) < len(body):
            received.extend(one.recv(65_536))
        one.sendall(OK)

    with serving(reads) as server:
        assert client.post(server.url, body, timeout=60).status == 200
    head, _, rest = bytes(received).partition(b"\r\n\r\n")
    assert rest == body
    assert b"Content-Length: %d" % len(body) in head


def test_an_idle_connection_keeps_neither_the_request_nor_the_answer(client: Client) -> None:
    body, answer = bytes(1_000_000), b"x" * 60_000

    def answers_much(one: socket.socket) -> None:
        received = 0
        while received < len(body):
            received += len(one.recv(65_536))
        one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
        one.recv(1)

    before = sys.getrefcount(body)
    with serving(answers_much) as server:
        assert client.post(server.url, body, reply=True).body == answer
        [connection] = client.http.pool._open
        assert (sys.getrefcount(body), bytes(connection._reader.body)) == (before, b"")


def test_a_request_that_meets_the_end_of_an_idle_connection_is_not_charged_the_408(client: Client) -> None:
    def gives_up(one: socket.socket) -> None:
        assert one.recv(65_536)
        one.sendall(OK)
        if one.recv(65_536):
            one.sendall(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

    with serving(gives_up) as server:
        assert [client.post(server.url).status for _ in range(4)] == [200] * 4
        assert server.opened == 4
    with serving(lambda one: one.sendall(b"HTTP/1.1 408 No\r\nContent-Length: 0\r\n\r\n")) as server:
        assert client.post(server.url).status == 408


def test_an_answer_before_the_end_of_the_request_counts_and_its_connection_is_not_used_again(client: Client) -> None:
    def refuses(one: socket.socket) -> None:
        one.recv(1000)
        one.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        one.recv(1)

    with serving(refuses) as server:
        assert client.post(server.url, bytes(20_000_000)).status == 413
        assert client.post(server.url, bytes(20_000_000)).status == 413
        assert server.opened == 2


def test_each_request_has_its_own_timeout_and_its_connection_is_closed(client: Client) -> None:
    def is_silent(one: socket.socket) -> None:
        while one.recv(65_536):
            pass

    with serving(is_silent) as server:
        found: list[Answer] = []
        target = client.http.target(ConsumerSpec(queue_name="q", url=server.url, timeout=1))
        for _ in range(3):
            target.send([], b"x", found.append)
            client.run_for(0.3)
        assert not found
        client.run_until(lambda: len(found) == 3)
        assert {answer.error for answer in found} == {ErrorClass.TIMEOUT}
        assert all(1 <= answer.seconds < 1.3 for answer in found)
        assert found[0].detail == "no answer within 1 s"
        client.run_for(0.1)
        assert server.ended == 3
    assert client.http.in_flight == 0


def test_a_connection_that_is_not_accepted_has_the_timeout_too(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        url = f"http://127.0.0.1:{address[1]}/"
        late = client.post(url, timeout=0.5, connectTimeout=0.2)
        assert (late.error, late.seconds < 0.5) == (ErrorClass.TIMEOUT, True)
        late = client.post(url, timeout=0.3, connectTimeout=5)
        assert (late.error, late.detail) == (ErrorClass.TIMEOUT, "no connection within 0.3 s")
        for one in waiting:
            one.close()


REQUESTS: dict[str, dict[str, object]] = {
    "path": {},
    "no path": {"path": ""},
    "query without a path": {"path": "?a=b&c=%20"},
    "dots": {"path": "/a/../b/./c"},
    "another method": {"method": "PUT"},
    "headers": {"headers": {"X-Own": "a, b", "Accept": "text/plain", "X-Empty": ""}},
    "user in the URL": {"user": "me:secret@"},
    "basic": {"auth": {"type": "basic", "username": "me", "password": "secret"}},
    "key in the query": {"auth": {"type": "apiKey", "name": "key", "value": "s/", "in": "query"}},
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_has_the_same_lines_with_libcurl(client: Client, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    fields = dict(REQUESTS[name])
    path, user = fields.pop("path", "/orders/%7B17%7D?x=1"), fields.pop("user", "")
    seen: list[list[bytes]] = []

    def records(one: socket.socket) -> None:
        while data := one.recv(65_536):
            line, *lines = data.partition(b"\r\n\r\n")[0].split(b"\r\n")
            seen.append([line, *sorted(lines)])
            one.sendall(OK)

    with serving(records) as server:
        url = server.url.replace("//", f"//{user}")[:-1] + str(path)
        lines = RequestHeaders(consumer_of(url, **fields)).lines(Properties(), "m-1", 1, b"body", 0)
        assert client.post(url, b"body", lines, **fields).status == 200
        monkeypatch.setattr(Endpoint, "plain", False)
        assert client.post(url, b"body", lines, **fields).status == 200
    assert seen[0] == seen[1]


def test_a_failure_of_the_callback_leaves_the_client_usable(client: Client, target: Target) -> None:
    def fails(_answer: Answer) -> None:
        raise RuntimeError("a fault of ours")

    client.http.target(ConsumerSpec(queue_name="q", url=target.url())).send([], b"x", fails)
    assert client.post(target.url()).status == 200
    assert client.http.in_flight == 0

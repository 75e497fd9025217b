"""A client that is idle, slow or deaf is disconnected in time, and delays no other client."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.api.client import Gunicorn
from tests.api.raw_clients import GET, HEAD, connections, read_statuses, read_to_end, unanswered
from tests.support.nginx import certify
from tests.support.processes import wait_until
from tests.support.server import running
from tests.support.sockets import readable
from tests.support.store import StoreNode

MakeGunicorn = Callable[..., Gunicorn]
LARGE = HEAD + b"Content-Length: 200000\r\n\r\n" + b" " * 100_000


def drip(clients: list[socket.socket], piece: bytes) -> None:
    """Send a piece again and again, until each is answered or disconnected."""
    while slow := [client for client in clients if unanswered(client)]:
        for client in slow:
            client.sendall(piece)
        readable(slow, 0.2)


def test_clients_that_send_no_whole_head_are_disconnected(gunicorn: MakeGunicorn) -> None:
    server = gunicorn("--workers", "1", "--keep-alive", "2")
    with ExitStack() as stack:
        idle = connections(stack, server.port, *[b""] * 12, *[GET] * 4)
        dripping = connections(stack, server.port, *[HEAD] * 4)
        assert [read_statuses(client, 1) for client in idle[12:]] == [[200]] * 4
        assert server.call("GET", "/health/live").status_code == 200
        assert all(unanswered(client) for client in idle + dripping), "the server still waits for them"
        drip(dripping, b"X")
        assert [read_to_end(client) for client in idle + dripping] == [b""] * 20


BODIES = {
    "length": (HEAD + b"Content-Length: 100\r\n\r\n", b"1"),
    "chunks of one byte": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n1\r\n"),
    "inside a chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n40\r\n", b"1"),
    "large": (LARGE, b" "),
}
"""For each form of a body, how a request begins, and a further piece of its body."""


def test_clients_that_stop_or_drip_in_a_body_are_answered_408(gunicorn: MakeGunicorn) -> None:
    server = gunicorn("--workers", "1", BODY_TIMEOUT="2")
    for answered, (form, (begun, piece)) in enumerate(BODIES.items(), 1):
        with ExitStack() as stack:
            slow = connections(stack, server.port, *[begun] * 4)
            assert server.call("GET", "/health/live").status_code == 200
            assert all(unanswered(client) for client in slow), f"{form}: the server still waits for them"
            drip(slow[:2], piece)
            for client in slow:
                assert read_statuses(client, 1) == [408], form
                assert client.recv(1) == b"", f"{form}: the rest of the body is not taken for a request"
        assert server.process.output().count('"code":"body_timeout"') == 4 * answered, form


def test_a_large_body_may_take_many_timeouts_while_it_keeps_coming(gunicorn: MakeGunicorn) -> None:
    server = gunicorn("--workers", "1", BODY_TIMEOUT="1")
    with ExitStack() as stack:
        [client] = connections(stack, server.port, HEAD + b"Content-Length: 600000\r\n\r\n")
        for _ in range(5):
            client.sendall(b" " * 100_000)
            assert not readable([client], 0.5)
        client.sendall(b" " * 100_000)
        assert read_statuses(client, 1) == [400]


def test_a_client_that_takes_nothing_of_its_answers_is_disconnected(gunicorn: MakeGunicorn) -> None:
    server = gunicorn("--workers", "1")
    with ExitStack() as stack:
        [deaf] = connections(stack, server.port, b"")
        deaf.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 200)  # some 40 MB in return
        wait_until(lambda: '"/openapi.json"' in server.process.output())
        assert server.call("GET", "/health/live").status_code == 200
        wait_until(lambda: "A client disconnected" in server.process.output(), 40)
    assert "Traceback" not in server.process.output()


def test_requests_that_come_together_or_in_pieces_are_all_answered(gunicorn: MakeGunicorn) -> None:
    server = gunicorn("--workers", "1")
    post = HEAD + b"Content-Length: 2\r\n\r\n{}"
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Trailer: 1\r\n\r\n"
    expecting = HEAD + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    with ExitStack() as stack:
        [together, in_pieces, waiting] = connections(stack, server.port, GET + post + GET, GET[:5], expecting)
        statuses = read_statuses(together, 3)
        for piece in (GET[5:], chunked[:30], chunked[30:-1], chunked[-1:], post):
            in_pieces.sendall(piece)
        assert (statuses, read_statuses(in_pieces, 3)) == ([200, 400, 200], [200, 400, 400])
        assert waiting.recv(4096).startswith(b"HTTP/1.1 100 ")
        waiting.sendall(b"{}")
        assert read_statuses(waiting, 1) == [400]


def test_over_tls_a_client_that_says_nothing_is_disconnected_too(
    tmp_path: Path, store: StoreNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = tmp_path / "certificate.pem"
    certify(certificate)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    encrypted = ("--certfile", str(certificate), "--keyfile", str(certificate.with_suffix(".key")))
    server = Gunicorn(tmp_path, {"MONGO_URI": store.uri("tls")}, *encrypted, "--workers", "1", "--keep-alive", "1")
    server.url = f"https://127.0.0.1:{server.port}"
    with running(server), socket.create_connection(("127.0.0.1", server.port), 30) as client:
        assert client.recv(1) == b""
        assert server.live()
        assert "Traceback" not in server.process.output()

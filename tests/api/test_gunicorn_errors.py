"""A malformed request or body is answered as problem+json, never with 500, and the connection is closed."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from gunicorn.http.errors import InvalidResponseHeader
from gunicorn.workers.ggevent import GeventWorker

from middlewares.gunicorn_worker import CRASHED, REFUSALS, Worker
from tests.api.client import Gunicorn
from tests.api.raw_clients import GET, HEAD, connections, read_to_end

HEADERS = b"".join(b"X-%d: 1\r\n" % number for number in range(150))
NO_REQUESTS = {
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", 400),
    "a TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "HTTP/9": (b"GET / HTTP/9.0\r\n\r\n", 400),
    "a space before the colon": (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    "a folded header": (b"GET / HTTP/1.1\r\nHost: x\r\n y\r\n\r\n", 400),
    "two lengths": (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    "length and chunks": (HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "a negative length": (HEAD + b"Content-Length: -1\r\n\r\n", 400),
    "a long line": (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
    "many headers": (b"GET / HTTP/1.1\r\n" + HEADERS + b"\r\n", 431),
    "a long header": (b"GET / HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 431),
    "an unknown expectation": (HEAD + b"Expect: a-miracle\r\nContent-Length: 2\r\n\r\n{}", 417),
    "an unknown coding": (HEAD + b"Transfer-Encoding: br\r\n\r\n", 501),
}
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
BAD_CHUNKS = [
    b"4 \r\n{}{}\r\n0\r\n\r\n", b"0x2\r\n{}\r\n0\r\n\r\n", b"-1\r\n{}\r\n0\r\n\r\n", b"\r\n{}\r\n0\r\n\r\n",
    b"+2\r\n{}\r\n0\r\n\r\n", b"2;\r\n{}\r\n0\r\n\r\n", b"2\r\n{}0\r\n\r\n", b"2\r\n{}X\n0\r\n\r\n",
    b"2\r\n{}\r\n0\r\nNo colon\r\n\r\n", b"2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n", b"2\r\n{}\r\n0\r\nX : 1\r\n\r\n",
    b"z" * 9000,
]  # fmt: skip


@pytest.fixture
def server(gunicorn: Callable[..., Gunicorn]) -> Iterator[Gunicorn]:
    started = gunicorn("--workers", "1")
    yield started
    assert "Traceback" not in started.process.output()


def sent(server: Gunicorn, request: bytes) -> tuple[int, bytes, dict[str, object]]:
    """Status, head and content of the only answer before the server disconnects."""
    with ExitStack() as stack:
        [client] = connections(stack, server.port, request)
        head, _, body = read_to_end(client).partition(b"\r\n\r\n")
    return int(head[9:12]), head.lower(), json.loads(body)


def test_a_malformed_http_request_is_answered_as_problem_json(server: Gunicorn) -> None:
    for name, (request, expected) in NO_REQUESTS.items():
        status, head, problem = sent(server, request)
        assert (status, problem["status"]) == (expected, expected), name
        assert b"content-type: application/problem+json" in head, name
        assert b"connection: close" in head, name
        assert problem.keys() == {"type", "title", "status", "detail", "code", "requestId", "errors"}, name
        assert str(problem["requestId"]) in server.process.output(), name


def test_a_malformed_chunked_body_is_refused_and_what_follows_it_is_not_taken_for_a_request(server: Gunicorn) -> None:
    for chunks in BAD_CHUNKS:
        status, head, problem = sent(server, CHUNKED + chunks + GET)
        assert (status, problem["code"]) == (400, "invalid_request"), chunks
        assert b"content-type: application/problem+json" in head, chunks


def test_a_fault_of_ours_is_500() -> None:
    kinds = [next(REFUSALS[base] for base in kind.__mro__ if base in REFUSALS) for kind in (InvalidResponseHeader,)]
    assert kinds == [CRASHED]


def test_gunicorn_still_has_the_method_that_gunicorn_worker_overrides() -> None:
    """`handle_error` is not in gunicorn's documentation. If this fails, read gunicorn's release notes, and adapt
    gunicorn_worker.py."""
    assert inspect.signature(GeventWorker.handle_error) == inspect.signature(Worker.handle_error).replace(
        parameters=[
            parameter.replace(annotation=inspect.Parameter.empty)
            for parameter in inspect.signature(Worker.handle_error).parameters.values()
        ],
        return_annotation=inspect.Signature.empty,
    )

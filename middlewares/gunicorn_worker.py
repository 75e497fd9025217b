"""gunicorn's gevent worker with one difference: it answers malformed requests as problem+json instead of HTML.

gunicorn has no setting for its error pages. This file overrides `Worker.handle_error`, which its documentation does not
name; pyproject.toml bounds gunicorn's version, and tests/api/test_gunicorn_errors.py checks the signature.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from socket import SHUT_WR, socket
from ssl import SSLError, SSLSocket
from typing import Any

import gevent
import orjson
from gunicorn.http import errors
from gunicorn.workers.ggevent import GeventWorker

from middlewares.body_timeout import TimedInput
from middlewares.problem_details import problem_details
from middlewares.security_headers import HEADERS

CRASHED = (500, "internal_error", "The service failed. Search its log for the requestId.")

REFUSALS: dict[type[Exception], tuple[int, str, str]] = {
    errors.LimitRequestLine: (414, "uri_too_long", "The request line is too long."),
    errors.LimitRequestHeaders: (
        431,
        "headers_too_large",
        "The request has too many headers, or one that is too long.",
    ),
    errors.ExpectationFailed: (417, "expectation_failed", "The only supported expectation is Expect: 100-continue."),
    errors.UnsupportedTransferCoding: (501, "transfer_coding", "The only supported Transfer-Encoding is chunked."),
    errors.ForbiddenProxyRequest: (403, "forbidden", "This address may not use the PROXY protocol."),
    errors.ParseException: (400, "malformed_request", "The request is not well-formed HTTP/1.1."),
    errors.InvalidResponseHeader: CRASHED,
    errors.InvalidResponseHeaderName: CRASHED,
    SSLError: (400, "tls_required", "This port speaks HTTPS."),
}
"""By class or nearest base class. The details quote nothing that the client sent."""

LINGER_SECONDS = 2.0
"""Seconds to read on after the answer. Closing at once makes TCP reset the connection, and the client may lose the
answer (RFC 9112 §9.6)."""


class Worker(GeventWorker):  # type: ignore[misc]  # gunicorn ships no types
    """Owned by gunicorn's worker process."""

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer a request that never reached the application. gunicorn closes the connection after this."""
        refusal = next((REFUSALS[base] for base in type(exc).__mro__ if base in REFUSALS), CRASHED)
        request_id = secrets.token_hex(8)
        if refusal is CRASHED:
            self.log.error("Request %s failed outside the application.", request_id, exc_info=exc)
        else:
            self.log.warning("Refused request %s from %s: %s", request_id, addr[0] if addr else "a socket", refusal[1])
        with suppress(OSError):
            client.sendall(_answer(*refusal, request_id))
        linger(client)


def linger(client: socket) -> None:
    """Shut down sending and read until the client disconnects, for at most LINGER_SECONDS."""
    with suppress(OSError), gevent.Timeout(LINGER_SECONDS, TimeoutError()):
        client.shutdown(SHUT_WR)
        while client.recv(65536):
            gevent.sleep(0)  # a fast client never blocks the read, so yield here


def end_turn(request: Any, body: TimedInput, client: socket) -> None:
    """Finish a request after its answer. Let other greenlets run: reading pipelined requests and writing their answers
    may never block, so one client could take all turns. If the rest of the body is long or unreadable, close the
    connection: gunicorn would read it to the end.
    """
    if body.finish():
        gevent.sleep(0)
    else:
        linger(client)
        request.force_close()


def timed_handshake(wrap_socket: Callable[..., SSLSocket], seconds: float) -> Callable[..., SSLSocket]:
    """Wrap `SSLContext.wrap_socket` in a timeout. A failed handshake ends its greenlet without a log line: port
    scanners are frequent.
    """

    def wrap(*args: Any, **options: Any) -> SSLSocket:
        try:
            with gevent.Timeout(seconds, TimeoutError()):
                return wrap_socket(*args, **options)
        except OSError:  # SSLError is one
            raise gevent.GreenletExit from None

    return wrap


def _answer(status: int, code: str, detail: str, request_id: str) -> bytes:
    body = orjson.dumps(problem_details(status, code, detail, request_id)) + b"\n"
    headers = {
        "Connection": "close",
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        "X-Request-ID": request_id,
        **HEADERS,
    }
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body

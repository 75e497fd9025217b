"""One log line per request: user, route, result and duration. Never bodies, queries or tokens.

It wraps the whole application as WSGI middleware, so it sees every request and error.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable
from random import getrandbits  # unique, not secret; reseeded after a fork
from typing import TYPE_CHECKING, Any

import structlog
from flask import request

from domain.trace import trace_id
from runtime.logs import log_context

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = structlog.get_logger("workerrmq.access")

_MAX_CORRELATION = 200
_ID = re.compile(r"[A-Za-z0-9._:+/=@-]{1,128}")
_REQUEST_ID = "workerrmq.request_id"
_NOTES = "workerrmq.notes"
_ROUTE = "workerrmq.route"

Count = Callable[[str, str, int, float], None]
"""Called with the route's template, the method, the status and the duration in seconds."""


def request_id() -> str:
    """Return the id of the current request: the client's X-Request-ID if it is well-formed, otherwise a new one."""
    return str(request.environ[_REQUEST_ID])


def correlation_id() -> str | None:
    """Return the current request's X-Correlation-ID if it fits an AMQP short string and a log line."""
    return _correlation_id(request.environ)


def _correlation_id(environ: WSGIEnvironment) -> str | None:
    given: str = environ.get("HTTP_X_CORRELATION_ID", "")
    return given if 0 < len(given) <= _MAX_CORRELATION and given.isascii() and given.isprintable() else None


def note(**fields: Any) -> None:
    """Add fields to the current request's log line, such as message_id. Never pass secrets."""
    request.environ[_NOTES].update(fields)


def note_route(template: str) -> None:
    """Record the route of the current request. Call it before the request is handled."""
    request.environ[_ROUTE] = template


class RequestLog:
    """Logs and counts each request. Its id is sent as X-Request-ID and is in all log lines of the request."""

    def __init__(self, app: WSGIApplication, count: Count) -> None:
        self._app, self._count = app, count

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        started = time.perf_counter()
        given = environ.get("HTTP_X_REQUEST_ID", "")
        environ[_REQUEST_ID] = identity = given if _ID.fullmatch(given) else f"{getrandbits(64):016x}"
        environ[_NOTES] = notes = {"user": None}
        fields = {"request_id": identity}
        if correlation := _correlation_id(environ):
            fields["correlation_id"] = correlation
        if trace := trace_id(environ.get("HTTP_TRACEPARENT")):
            fields["trace_id"] = trace
        status = 500

        def start(line: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            nonlocal status
            status = int(line[:3])
            return start_response(line, [*headers, ("X-Request-ID", identity)], *exc_info)

        token = log_context.set(fields)
        try:
            return self._app(environ, start)
        finally:
            path = environ.get("PATH_INFO", "").encode("latin-1", "replace").decode("utf-8", "replace")  # PEP 3333
            if not path.isprintable():  # a path must not control a terminal
                path = ascii(path)[1:-1]
            seconds = time.perf_counter() - started
            self._count(environ.get(_ROUTE, "none"), environ["REQUEST_METHOD"], status, seconds)
            log.log(
                _level(status, path),
                "request",
                method=environ["REQUEST_METHOD"],
                path=path,
                status=status,
                milliseconds=round(seconds * 1000, 3),
                remote=environ.get("REMOTE_ADDR"),
                **notes,
            )
            log_context.reset(token)


def _level(status: int, path: str) -> int:
    if status < 500:
        # Load balancers check every few seconds; a success is not worth a line.
        return logging.DEBUG if status < 400 and path.startswith("/health/") else logging.INFO
    return logging.ERROR if status == 500 else logging.WARNING

"""One log line a request: who asked for what, what came of it, how long it took. Never bodies, queries or tokens."""

from __future__ import annotations

import logging
import re
import secrets
import time
from typing import Any

import structlog
from flask import Flask, Response, g, request

from middlewares.auth import current_principal

log = structlog.get_logger("workerrmq.access")

_ID = re.compile(r"[A-Za-z0-9._:+/=@-]{1,128}")


def install(app: Flask) -> None:
    """Must be the first of the middlewares, so that the others' errors carry the request's id."""
    app.before_request(_begin)
    app.after_request(_end)
    app.teardown_request(_forget)


def note(**fields: Any) -> None:
    """Add fields to the line of the current request, such as message_id. Not for anything secret."""
    g.log_fields = {**g.get("log_fields", {}), **fields}


def _begin() -> None:
    g.started = time.perf_counter()
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _ID.fullmatch(given) else secrets.token_hex(8)
    structlog.contextvars.bind_contextvars(request_id=g.request_id)
    correlation_id = request.headers.get("X-Correlation-ID", "")
    if _ID.fullmatch(correlation_id):
        structlog.contextvars.bind_contextvars(correlation_id=correlation_id)


def _end(answer: Response) -> Response:
    answer.headers["X-Request-ID"] = g.request_id
    principal = current_principal()
    fields: dict[str, Any] = {
        "method": request.method,
        "path": request.path,
        "status": answer.status_code,
        "duration_ms": round((time.perf_counter() - g.started) * 1000, 3),
        "user": principal.username if principal else None,
        "remote": request.remote_addr,
    }
    if "error_code" in g:
        fields["code"] = g.error_code
    log.log(_level(answer.status_code), "request", **fields, **g.get("log_fields", {}))
    return answer


def _level(status: int) -> int:
    if status < 500:
        # A load balancer asks every few seconds: that it was told yes is no news.
        return logging.DEBUG if status < 400 and request.path.startswith("/health/") else logging.INFO
    return logging.ERROR if status == 500 else logging.WARNING


def _forget(_: BaseException | None) -> None:
    structlog.contextvars.clear_contextvars()

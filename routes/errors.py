"""Converts errors to answers: one table of statuses and one body (RFC 9457) for all routes and for unknown paths."""

from __future__ import annotations

import math
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, current_app, request
from pydantic_core import to_json
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from domain import errors
from middlewares.problem_details import problem_details
from middlewares.request_log import note, request_id
from routes import body

log = structlog.get_logger("workerrmq.api")

STATUSES: dict[type[errors.WorkerError], int] = {
    body.TooSlow: 408,
    body.TooLarge: 413,
    body.UnsupportedType: 415,
    errors.TooLargeForStore: 413,
    errors.Invalid: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.PreconditionFailed: 412,
    errors.Unroutable: 422,
    errors.IdempotencyMismatch: 422,
    errors.Locked: 423,
    errors.Throttled: 429,
    errors.MessageTooLarge: 413,
    errors.PublishRefused: 503,
    errors.BrokerUnavailable: 503,
    errors.StoreUnavailable: 503,
    errors.RendererUnavailable: 503,
    errors.PublishUnconfirmed: 504,
}
"""The HTTP status by class, or nearest base class."""

RETRY_AFTER = 5.0  # seconds, for a temporary error without its own value


def install(app: Flask) -> None:
    """Register handlers that answer every error of the app with problem+json."""
    app.register_error_handler(errors.WorkerError, _domain_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def status_of(error: Exception) -> int:
    """Return the HTTP status of an error."""
    return next((STATUSES[base] for base in type(error).__mro__ if base in STATUSES), 500)


def problem(status: int, code: str, detail: str, retry_after: float | None = None, **members: Any) -> Response:
    """Return an application/problem+json answer. `members` are extension members (RFC 9457 §3.2); `retry_after` is in
    seconds."""
    note(code=code)
    content = problem_details(status, code, detail, request_id(), request.path) | members
    answer = Response(to_json(content, by_alias=True) + b"\n", status, content_type="application/problem+json")
    if status in {429, 503}:
        answer.headers["Retry-After"] = str(max(1, math.ceil(retry_after or RETRY_AFTER)))
    if status == 401:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="WorkerRMQ"'
    return answer


def _domain_error(error: errors.WorkerError) -> Response:
    fields = [{"field": name, "detail": sentence} for name, sentence in error.fields]
    status = status_of(error)
    if status >= 500:
        note(reason=error.detail, cause=_named(error.__cause__))
    return problem(status, error.code, error.detail, error.retry_after, errors=fields)


def _http_error(error: HTTPException) -> Response:
    if isinstance(error, NotFound):
        return problem(404, "route_not_found", _no_such_route())
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        answer = problem(
            405, "method_not_allowed", f"{request.path} does not support {request.method}. Allowed: {allowed}."
        )
        answer.headers["Allow"] = allowed
        return answer
    status = error.code or 500
    code = HTTPStatus(status).phrase.lower().replace(" ", "_").replace("-", "_")
    return problem(status, code, error.description or HTTPStatus(status).description)


def _no_such_route() -> str:
    paths = sorted({rule.rule for rule in current_app.url_map.iter_rules()})
    lowered = {path.lower(): path for path in paths}
    close = get_close_matches(request.path[:60].lower(), lowered, n=1)
    hint = f"Did you mean {lowered[close[0]]}?" if close else "See /docs for all routes."
    return f"The route does not exist. {hint}"


def _unexpected(error: Exception) -> Response:
    log.error("request_crashed", exc_info=error)
    return problem(500, "internal_error", "The service failed. Search its log for the requestId.")


def _named(cause: BaseException | None) -> str | None:
    return None if cause is None else type(cause).__name__

"""CORS: lets scripts on web pages of other origins use the API (https://fetch.spec.whatwg.org/#http-cors-protocol).

The API uses no cookies, so an allowed page can do no more than the token that its user gives it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from flask import Flask, Response, request
from flask_cors import CORS

from domain.origins import ANY

_SENT = [
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "X-Request-ID",
    "X-Correlation-ID",
    "traceparent",
    "tracestate",
]
_READ = ["X-Total-Count", "Link", "X-Request-ID", "Retry-After", "Idempotent-Replayed"]
_MAX_AGE = 600  # seconds that a browser may cache the answer to a preflight request


def allow_origins(app: Flask, origins: Sequence[str]) -> None:
    """Let pages of these origins call every route; `*` stands for any origin."""
    patterns = [one if one == ANY else re.compile(re.escape(one) + r"\Z") for one in origins]
    methods = ["GET", "POST", "PATCH", "DELETE"]
    CORS(app, origins=patterns, methods=methods, allow_headers=_SENT, expose_headers=_READ, max_age=_MAX_AGE)
    app.before_request(_answer_preflight)


def _answer_preflight() -> Response | None:
    """Answer the request by which a browser asks for permission; Flask-Cors adds the headers."""
    preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
    return Response(status=204) if preflight else None

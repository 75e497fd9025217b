"""Headers that restrict what browsers do with the service's answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask, Response

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
SECURE_HEADERS = {**HEADERS, "Strict-Transport-Security": "max-age=31536000"}


def add_security_headers(app: Flask) -> None:
    """Add the headers to every answer of the app. A header set by a view has precedence."""
    from flask import request  # gunicorn_worker.py needs HEADERS before gevent patches the worker

    @app.after_request
    def add(answer: Response) -> Response:
        for name, value in (SECURE_HEADERS if request.is_secure else HEADERS).items():
            answer.headers.setdefault(name, value)
        return answer

"""Headers that restrict what browsers do with the service's answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
SECURE_HEADERS = {**HEADERS, "Strict-Transport-Security": "max-age=31536000"}


class SecurityHeaders:
    """Adds the headers to every answer, as WSGI middleware. A header set by a view has precedence."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        ours = SECURE_HEADERS if environ["wsgi.url_scheme"] == "https" else HEADERS

        def start(line: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            given = {name for name, _ in headers}
            added = [(name, value) for name, value in ours.items() if name not in given]
            return start_response(line, headers + added, *exc_info)

        return self._app(environ, start)

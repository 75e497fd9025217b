"""REMOTE_ADDR as a bare IP address, whatever the proxy in front writes into X-Forwarded-For (some add the port)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from domain.client_address import address_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class ClientAddress:
    """WSGI middleware, inside the one that reads X-Forwarded-For."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["REMOTE_ADDR"] = address_of(environ.get("REMOTE_ADDR", ""))
        return self._app(environ, start_response)

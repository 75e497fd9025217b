"""One call of RabbitMQ's management API: URL, login and deadlines in; JSON or a domain error out.

The login never appears in a message, and no exception of `requests` leaves this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

import requests

from domain.errors import BrokerUnavailable, Invalid
from gateway.management.refusals import ACCESS_REFUSED, Refusal, Subject, error_for
from gateway.management.sessions import Busy, Sessions

CONNECT_SECONDS = 2.0
READ_SECONDS = 8.0

CONNECTIONS = 32
"""Calls at once of one process; further calls wait."""


class ManagementClient:
    """Calls the API of one broker, within one virtual host. Thread-safe. Opens nothing before the first call, so
    that an object made before a fork serves after it."""

    def __init__(self, url: str, vhost: str) -> None:
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        self.vhost = vhost
        self._place = f"{host}:{parts.port}" if parts.port else f"{host}"
        self._base = f"{parts.scheme}://{self._place}{parts.path.rstrip('/')}/api"
        self._login = (unquote(parts.username or "guest").encode(), unquote(parts.password or "guest").encode())
        self._sessions = Sessions(CONNECTIONS, CONNECT_SECONDS)

    def call(
        self,
        method: str,
        *path: str,
        subject: Subject,
        name: str = "",
        query: Mapping[str, str | int] | None = None,
        body: Any = None,
        headers: Mapping[str, str | bytes] | None = None,
    ) -> tuple[int, Any]:
        """The status (2xx) and the JSON of the answer, None when it has no content. `path` follows /api.

        Raises NotFound, Conflict, Locked, PreconditionFailed or Invalid when RabbitMQ refuses, worded for the `subject`
        called `name` (without one, the virtual host); BrokerUnavailable when it cannot be asked.
        """
        request = requests.Request(method, f"{self._base}/", json=body, headers=dict(headers or {}), auth=self._login)
        address = f"{self._base}/{'/'.join(_segment(part) for part in path)}{_query(query)}"
        answer = self._answer(request, address)
        if answer.status_code in (201, 204):
            return answer.status_code, None
        content = self._json(answer)
        if answer.ok:
            return answer.status_code, content
        if answer.status_code == 404 and subject != "virtual host":
            self._see_vhost()
        raise error_for(Refusal.read(answer.status_code, content), subject, name or self.vhost)

    def get(self, *path: str, subject: Subject, name: str = "", query: Mapping[str, str | int] | None = None) -> Any:
        """The JSON of `GET /api/<path>`. Raises as `call`."""
        return self.call("GET", *path, subject=subject, name=name, query=query)[1]

    def _see_vhost(self) -> None:
        """Raise BrokerUnavailable when what was not found is missing with all else: RabbitMQ finds nothing at all for
        the seconds in which it stops, and nobody shall take a queue for lost by that."""
        try:
            self.get("vhosts", self.vhost, subject="virtual host")
        except BrokerUnavailable as exc:
            if exc.code != ACCESS_REFUSED:
                raise

    def _answer(self, request: requests.Request, address: str) -> requests.Response:
        try:
            with self._sessions.borrowed() as session:
                prepared = session.prepare_request(request)
                # requests resolves dot segments and decodes what need not be encoded: a name must arrive as it is.
                prepared.url = address
                return session.send(prepared, timeout=(CONNECT_SECONDS, READ_SECONDS), allow_redirects=False)
        except (requests.Timeout, Busy):
            raise self._unavailable("does not answer in time") from None
        except requests.RequestException:
            raise self._unavailable("cannot be reached") from None

    def _json(self, answer: requests.Response) -> Any:
        try:
            return answer.json()
        except requests.JSONDecodeError:
            raise self._unavailable(f"answers HTTP {answer.status_code} without JSON") from None

    def _unavailable(self, what: str) -> BrokerUnavailable:
        return BrokerUnavailable(
            f"RabbitMQ's management API at {self._place} {what}. Check that the broker runs with the plugin "
            "rabbitmq_management, and that RABBITMQ_MANAGEMENT_URL is right.",
            retry_after=5,
        )


def _segment(name: str) -> str:
    if name in (".", ".."):  # RabbitMQ's web server resolves these even when they are percent-encoded
        raise Invalid(f"RabbitMQ's management API cannot address anything called {name!r}; choose another name.")
    return quote(name, safe="")


def _query(query: Mapping[str, str | int] | None) -> str:
    return "?" + urlencode(query, quote_via=quote) if query else ""

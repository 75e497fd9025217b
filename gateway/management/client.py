"""One call of RabbitMQ's management API: URL, login and deadlines in; JSON or a domain error out.

The login never appears in a message, and no exception of `requests` leaves this file.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

import requests

from domain.errors import BrokerTimeout, BrokerUnavailable, Invalid
from gateway.management.refusals import ACCESS_REFUSED, Refusal, Subject, error_for

CONNECT_SECONDS = 2.0
READ_SECONDS = 8.0


class ManagementClient:
    """Calls the API of one broker, within one virtual host. Any thread may call; each keeps a connection of its own,
    opened by its first call, so that an object made before a fork serves after it."""

    def __init__(self, url: str, vhost: str, version_seconds: float = 30.0) -> None:
        """A version that was read is taken to be the broker's for `version_seconds`: it may be upgraded meanwhile."""
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        self.vhost = vhost
        self._place = f"{host}:{parts.port}" if parts.port else f"{host}"
        self._base = f"{parts.scheme}://{self._place}{parts.path.rstrip('/')}/api"
        self._login = (unquote(parts.username or "guest").encode(), unquote(parts.password or "guest").encode())
        self._local = threading.local()
        self._version_seconds = version_seconds
        self._version: tuple[float, tuple[int, ...]] = (float("-inf"), ())

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
        request = self._session.prepare_request(
            requests.Request(method, f"{self._base}/", json=body, headers=dict(headers or {}), auth=self._login)
        )
        # requests resolves dot segments and decodes what need not be encoded: a name must arrive as it is.
        request.url = f"{self._base}/{'/'.join(_segment(part) for part in path)}{_query(query)}"
        try:
            answer = self._session.send(request, timeout=(CONNECT_SECONDS, READ_SECONDS), allow_redirects=False)
        except requests.Timeout:
            raise self._unavailable("does not answer in time", BrokerTimeout) from None
        except requests.RequestException:
            raise self._unavailable("cannot be reached") from None
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

    def version(self) -> tuple[int, ...]:
        """RabbitMQ's version, as in (4, 0, 5): in a cluster that of the node that answers. Raises as `call`."""
        read_at, version = self._version
        if time.monotonic() > read_at + self._version_seconds:
            found = self.get("overview", subject="virtual host", query={"columns": "rabbitmq_version"})
            version = tuple(int(part) for part in re.findall(r"\d+", found["rabbitmq_version"])[:3])
            self._version = time.monotonic(), version
        return version

    def _see_vhost(self) -> None:
        """Raise BrokerUnavailable when what was not found is missing with all else: RabbitMQ finds nothing at all for
        the seconds in which it stops, and nobody shall take a queue for lost by that."""
        try:
            self.get("vhosts", self.vhost, subject="virtual host")
        except BrokerUnavailable as exc:
            if exc.code != ACCESS_REFUSED:
                raise

    @property
    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.trust_env = False  # a proxy or netrc of the environment has no business with the broker
        return session

    def _json(self, answer: requests.Response) -> Any:
        try:
            return answer.json()
        except requests.JSONDecodeError:
            raise self._unavailable(f"answers HTTP {answer.status_code} without JSON") from None

    def _unavailable(self, what: str, kind: type[BrokerUnavailable] = BrokerUnavailable) -> BrokerUnavailable:
        return kind(
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

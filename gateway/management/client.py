"""One call of RabbitMQ's management API: URL, login and deadlines in; JSON or a domain error out.

The login never appears in a message, and no exception of `requests` leaves this file.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import requests
from urllib3.exceptions import NewConnectionError

from domain.errors import BrokerTimeout, BrokerUnavailable, Invalid, QueueUnavailable
from gateway.management.nodes import ManagementNode, ManagementNodes
from gateway.management.refusals import Refusal, Subject, error_for
from gateway.management.sessions import Busy, Sessions
from gateway.permissions import ACCESS_REFUSED, needed_by
from gateway.tls import tls_problem

_REPEATABLE = ("GET", "PUT")
"""Methods that another node is asked by even when the first may have carried them out: PUT says what shall be there."""

CONNECTIONS = 32
"""Calls at once of one process; further calls wait."""

_TLS_ALERT = r"\x15\x03"
"""How an answer in TLS begins (RFC 8446 §5.1), as urllib3 quotes it."""
_ERRNO = re.compile(r"\[Errno -?\d+\] (?P<text>[^'\")]+)")

_TRUE_OF_ALL_NODES = (ACCESS_REFUSED, QueueUnavailable.code)
"""Codes of what each node would say."""


class ManagementClient:
    """Calls the API of one broker, within one virtual host: the node that answered last, and when it does not, the
    others in turn, in an order that each client shuffles. Thread-safe. Opens nothing before the first call,
    so that an object made before a fork serves after it."""

    def __init__(
        self,
        nodes: ManagementNodes,
        *,
        connect_seconds: float = 2.0,
        read_seconds: float = 8.0,
        version_seconds: float = 30.0,
    ) -> None:
        """All nodes together have `connect_seconds` and `read_seconds` for a call; each has its share. The version is
        read again after `version_seconds`: the broker may be upgraded meanwhile."""
        self.vhost = nodes.virtual_host
        self._nodes = random.sample(nodes.nodes, len(nodes.nodes))
        self._current = 0
        self._connect_seconds, self._read_seconds = connect_seconds, read_seconds
        self._sessions = Sessions(CONNECTIONS, connect_seconds, nodes.tls)
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
        called `name` (without one, the virtual host); BrokerUnavailable when no node can be asked, or when a node
        failed that may have done it.
        """
        where = f"/api/{'/'.join(_segment(part) for part in path)}{_query(query)}"
        failure: BrokerUnavailable | None = None
        for node, timeout in self._turns(method in _REPEATABLE):
            try:
                needed = needed_by(method, path, body)
                return self._ask(node, timeout, method, where, subject, name, body, headers, needed)
            except _NodeFailed as exc:
                failure = exc.error
                if exc.asked and method not in _REPEATABLE:
                    break
        assert failure is not None
        raise failure

    def _turns(self, repeatable: bool) -> Iterator[tuple[ManagementNode, tuple[float, float]]]:
        """The nodes from the one that answered last on, with the seconds for connecting and reading that each has. A
        node from which we come back has failed, so other calls begin with the next."""
        first, deadline = self._current, time.monotonic() + self._connect_seconds + self._read_seconds
        for turn in range(len(self._nodes)):
            left = max(0.1, deadline - time.monotonic())
            share = left / (len(self._nodes) - turn) if repeatable else left
            position = (first + turn) % len(self._nodes)
            self._current = position
            yield self._nodes[position], (min(self._connect_seconds, share), min(self._read_seconds, share))
            self._current = (position + 1) % len(self._nodes)

    def _ask(
        self,
        node: ManagementNode,
        timeout: tuple[float, float],
        method: str,
        where: str,
        subject: Subject,
        name: str = "",
        body: Any = None,
        headers: Mapping[str, str | bytes] | None = None,
        needed: str = "",
    ) -> tuple[int, Any]:
        """As `call`, of one node. Raises _NodeFailed for BrokerUnavailable, unless RabbitMQ refuses our login."""
        login = (node.login.user.encode(), node.login.password.encode())
        request = requests.Request(method, f"{node.url}/", json=body, headers=dict(headers or {}), auth=login)
        try:
            with self._sessions.borrowed() as session:
                prepared = session.prepare_request(request)
                # requests resolves dot segments and decodes what need not be encoded: a name must arrive as it is.
                prepared.url = f"{node.url}{where}"
                answer = session.send(prepared, timeout=timeout, allow_redirects=False)
                if body is not None and not answer.ok:
                    # RabbitMQ 4.0 may refuse a request before it has read the body. The next one on that connection is
                    # then not answered, or the connection is closed.
                    session.close()
        except Busy:
            raise _NodeFailed(_unavailable(node, "does not answer in time"), asked=False) from None
        except requests.Timeout as exc:
            asked = not isinstance(exc, requests.ConnectTimeout)
            raise _NodeFailed(_unavailable(node, "does not answer in time", BrokerTimeout), asked) from None
        except OSError as exc:  # RequestException is one; others tell of a file of certificates that is gone
            raise _NodeFailed(_unreachable(node, exc), asked=not _unsent(exc)) from None
        if answer.status_code in (201, 204):
            return answer.status_code, None
        try:
            content = answer.json()
        except requests.JSONDecodeError:
            raise _NodeFailed(_unavailable(node, f"answers HTTP {answer.status_code} without JSON")) from None
        if answer.ok:
            return answer.status_code, content
        if answer.status_code == 404 and subject != "virtual host":
            self._see_vhost(node, timeout)
        refusal = Refusal.read(answer.status_code, content)
        error = error_for(refusal, subject, name or self.vhost, node.login.user, needed)
        if isinstance(error, BrokerUnavailable) and error.code not in _TRUE_OF_ALL_NODES:
            raise _NodeFailed(error)
        raise error

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

    def _see_vhost(self, node: ManagementNode, timeout: tuple[float, float]) -> None:
        """Raise _NodeFailed when what was not found is missing with all else: RabbitMQ finds nothing at all for
        the seconds in which it stops, and nobody shall take a queue for lost by that."""
        try:
            self._ask(node, timeout, "GET", f"/api/vhosts/{_segment(self.vhost)}", "virtual host")
        except BrokerUnavailable:  # our user may not see it, but it was not missing
            return


class _NodeFailed(Exception):
    """A node that cannot be asked, or stops: another may be. `asked` is False when it certainly has done nothing."""

    def __init__(self, error: BrokerUnavailable, asked: bool = True) -> None:
        super().__init__(error.detail)
        self.error, self.asked = error, asked


def _unavailable(
    node: ManagementNode, what: str, kind: type[BrokerUnavailable] = BrokerUnavailable
) -> BrokerUnavailable:
    return kind(
        f"RabbitMQ's management API at {node.place} {what}. Check that the broker runs with the plugin "
        "rabbitmq_management, and that RABBITMQ_MANAGEMENT_URL is right.",
        retry_after=5,
    )


def _unreachable(node: ManagementNode, exc: OSError) -> BrokerUnavailable:
    """The error, with the reason that an operator can act upon: urllib3's words, which quote the request, are left
    out."""
    text = str(exc)
    problem = "its port expects https://" if _TLS_ALERT in text else tls_problem(text, "RABBITMQ_CA_FILE")
    if not isinstance(exc, requests.RequestException):
        problem = text
    if problem:
        return BrokerUnavailable(
            f"RabbitMQ's management API at {node.place} cannot be reached: {problem}.", retry_after=5
        )
    system = _ERRNO.search(text)
    return _unavailable(node, f"cannot be reached: {system['text']}" if system else "cannot be reached")


def _unsent(exc: OSError) -> bool:
    """Whether there was no connection to send anything by."""
    cause = exc.args[0] if exc.args else None
    return isinstance(getattr(cause, "reason", None), NewConnectionError)


def _segment(name: str) -> str:
    if name in (".", ".."):  # RabbitMQ's web server resolves these even when they are percent-encoded
        raise Invalid(f"RabbitMQ's management API cannot address anything called {name!r}; choose another name.")
    return quote(name, safe="")


def _query(query: Mapping[str, str | int] | None) -> str:
    return "?" + urlencode(query, quote_via=quote) if query else ""

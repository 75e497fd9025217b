"""Calls RabbitMQ's management API, with login and deadlines; returns JSON or raises a domain error.

No error text contains the password, and no exception of `requests` leaves this file.
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
"""Idempotent methods, which may be repeated on another node even if the first node may have carried them out."""

CONNECTIONS = 32
"""Maximum number of concurrent calls of a process; further calls wait."""

_TLS_ALERT = r"\x15\x03"
"""The beginning of an answer in TLS (RFC 8446 §5.1), as urllib3 quotes it."""
_ERRNO = re.compile(r"\[Errno -?\d+\] (?P<text>[^'\")]+)")

_TRUE_OF_ALL_NODES = (ACCESS_REFUSED, QueueUnavailable.code)
"""Codes of errors that every node would return."""


class ManagementClient:
    """Calls the API of one broker, within one virtual host. It calls the node that answered last and, if that fails,
    the others in turn, in a random order. Thread-safe. It opens no connection before the first call, so it may be
    created before a fork."""

    def __init__(
        self,
        nodes: ManagementNodes,
        *,
        connect_seconds: float = 2.0,
        read_seconds: float = 8.0,
        version_seconds: float = 30.0,
    ) -> None:
        """All nodes together have `connect_seconds` and `read_seconds` for a call; each node has its share. The version
        is read again after `version_seconds`, because the broker may have been upgraded."""
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
        """Return the status (2xx) and the JSON of the answer, or None without content. `path` follows /api.

        Raises NotFound, Conflict, Locked, PreconditionFailed or Invalid if RabbitMQ refuses, with a text about the
        `subject` called `name` (default: the virtual host). Raises BrokerUnavailable if no node answers, or if a node
        failed that may have carried out a method that must not be repeated.
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
        """Yield the nodes, starting with the one that answered last, each with its seconds for connecting and reading.
        A node after which the caller continues has failed, so other calls start with the next one."""
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
        """Call one node, as `call`. Raises _NodeFailed instead of BrokerUnavailable, unless every node would fail."""
        login = (node.login.user.encode(), node.login.password.encode())
        request = requests.Request(method, f"{node.url}/", json=body, headers=dict(headers or {}), auth=login)
        try:
            with self._sessions.borrowed() as session:
                prepared = session.prepare_request(request)
                # requests would normalise the path (dot segments, percent-encoding), but names must arrive unchanged.
                prepared.url = f"{node.url}{where}"
                answer = session.send(prepared, timeout=timeout, allow_redirects=False)
                if body is not None and not answer.ok:
                    # RabbitMQ 4.0 may refuse a request before it has read the body. It then does not answer the next
                    # request on that connection, or closes it.
                    session.close()
        except Busy:
            raise _NodeFailed(_unavailable(node, "does not answer in time"), asked=False) from None
        except requests.Timeout as exc:
            asked = not isinstance(exc, requests.ConnectTimeout)
            raise _NodeFailed(_unavailable(node, "does not answer in time", BrokerTimeout), asked) from None
        except OSError as exc:  # a RequestException, or a file of certificates is missing
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
        """Return the JSON of `GET /api/<path>`. Raises what `call` raises."""
        return self.call("GET", *path, subject=subject, name=name, query=query)[1]

    def version(self) -> tuple[int, ...]:
        """Return RabbitMQ's version, such as (4, 0, 5), of the node that answers. Raises what `call` raises."""
        read_at, version = self._version
        if time.monotonic() > read_at + self._version_seconds:
            found = self.get("overview", subject="virtual host", query={"columns": "rabbitmq_version"})
            version = tuple(int(part) for part in re.findall(r"\d+", found["rabbitmq_version"])[:3])
            self._version = time.monotonic(), version
        return version

    def _see_vhost(self, node: ManagementNode, timeout: tuple[float, float]) -> None:
        """Raise _NodeFailed if the whole virtual host is missing. RabbitMQ answers 404 to everything while it stops,
        which must not make a queue look deleted."""
        try:
            self._ask(node, timeout, "GET", f"/api/vhosts/{_segment(self.vhost)}", "virtual host")
        except BrokerUnavailable:  # our user may not read it, but it exists
            return


class _NodeFailed(Exception):
    """A node failed or is stopping; another may answer. `asked` is False if the node has certainly done nothing."""

    def __init__(self, error: BrokerUnavailable, asked: bool = True) -> None:
        super().__init__(error.detail)
        self.error, self.asked = error, asked


def _unavailable(
    node: ManagementNode, what: str, kind: type[BrokerUnavailable] = BrokerUnavailable
) -> BrokerUnavailable:
    return kind(
        f"RabbitMQ's management API at {node.place} {what}. Check that the broker runs with the plugin "
        "rabbitmq_management, and that RABBITMQ_MANAGEMENT_URL is correct.",
        retry_after=5,
    )


def _unreachable(node: ManagementNode, exc: OSError) -> BrokerUnavailable:
    """Return the error with a reason that an operator can act on, without urllib3's text, which quotes the request."""
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
    """Return whether no connection was opened, so that nothing was sent."""
    cause = exc.args[0] if exc.args else None
    return isinstance(getattr(cause, "reason", None), NewConnectionError)


def _segment(name: str) -> str:
    if name in (".", ".."):  # RabbitMQ's web server resolves these even when they are percent-encoded
        raise Invalid(f"RabbitMQ's management API cannot address the name {name!r}. Choose another name.")
    return quote(name, safe="")


def _query(query: Mapping[str, str | int] | None) -> str:
    return "?" + urlencode(query, quote_via=quote) if query else ""

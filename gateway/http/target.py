"""One request to a target with libcurl: its options, its limits, and the answer that its result becomes.

Requests follow no redirects. They read an answer up to a limit, within the timeout. The target guard checks every
address, before a socket is opened to it and before each request on it. With an egress proxy, which makes the
connections, the guard sees only the URL.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Any

import pycurl

from delivery.backoff import retry_after
from delivery.kept_answer import answer_headers
from delivery.request import Request
from delivery.target_guard import Guard
from domain.outcome import Answer, ErrorClass
from gateway.http.curl_errors import ERRORS
from gateway.http.egress import Egress
from gateway.http.endpoint import Done, Endpoint
from gateway.http.oauth2 import Authorizer

_LARGE = 16 * 1024
"""Size of a request body in bytes above which an idle handle does not keep it."""
_KNOWN_ADDRESSES = 1000
"""Maximum number of cached decisions of the guard per target."""


class Target:
    """An endpoint, such as a consumer's target. Each call of `send` is one request."""

    def __init__(
        self,
        start: Callable[[Easy], None],
        opening: Callable[[], None],
        guard: Guard | None,
        endpoint: Endpoint,
        connection_age: float,
        egress: Egress,
        authorizer: Authorizer | None = None,
    ) -> None:
        """`start` passes a request to curl; `opening` is called before curl opens a socket. Without a guard every
        address is allowed. Connections older than `connection_age` (whole seconds) are not reused, so that changes in
        DNS take effect."""
        self.connection_age = round(connection_age)
        self.start, self.opening = start, opening
        self.guard, self.endpoint, self.proxy = guard, endpoint, egress.proxy
        self.options = (*egress.options, *endpoint.options)
        self.idle: list[Easy] = []
        self._authorizer = authorizer
        self._known: dict[str, str | None] = {}
        self._refusal = guard.check_target(endpoint.url.target) if guard else None

    @property
    def waits(self) -> bool:
        """Whether requests may wait for their credentials."""
        return self._authorizer is not None

    def send(
        self,
        headers: list[str],
        body: bytes,
        done: Done,
        url: str | None = None,
        wanted: Callable[[], bool] | None = None,
    ) -> None:
        """Send `body` with `Name: value` header lines. `done` is called exactly once, from the loop, with the answer.
        `url`, if given, has another path or query on the same host. If `wanted` returns false after the request has
        waited for its credentials, the request is dropped without `done`."""
        if self._authorizer is None:
            (self.idle.pop() if self.idle else Easy(self)).send(headers, body, done, url)
            return

        def send(request: Request, answered: Done) -> None:
            if wanted is None or wanted():
                self.send_request(request, answered)

        self._authorizer.authorize(Request(headers, body, url), send, done)

    def send_request(self, request: Request, done: Done) -> None:
        """Send a request that is authorized, or needs not to be."""
        (self.idle.pop() if self.idle else Easy(self)).send(request.headers, request.body, done, request.url)

    def objection(self, address: str) -> str | None:
        """Return a sentence that says why the guard refuses an address; None if the address is allowed."""
        if self._refusal or self.guard is None or self.proxy is not None:  # the address is the proxy's
            return self._refusal
        if address not in self._known:
            if len(self._known) >= _KNOWN_ADDRESSES:
                self._known.clear()
            self._known[address] = self.guard.check_address(address, self.endpoint.url.target.host)
        return self._known[address]


class _Lent(socket.socket):
    """A socket that closes itself when curl, which duplicates its descriptor, releases it."""

    __slots__ = ()

    def __del__(self) -> None:
        if self.fileno() >= 0:  # else it could not be opened, and has no fields to close
            self.close()


class Easy:
    """One curl handle: one request at a time."""

    __slots__ = (
        "_body", "_connecting", "_done", "_head", "_large", "_objection", "_read", "_ready", "_shortage", "_target",
        "curl",
    )  # fmt: skip

    def __init__(self, target: Target) -> None:
        self._target = target
        self._done: Done | None = None
        self._body = b""
        self._read, self._large = 0, False
        self._head: list[bytes] = []  # lines of interim answers, the answer and its trailers; curl limits them
        self._objection: str | None = None  # the guard's reason for refusing the last address
        self._connecting = False  # whether the guard has allowed an address
        self._ready = False  # whether there is a connection for the request, perhaps through the proxy
        self._shortage = ""  # why the last socket could not be opened, if the target is not the cause
        self.curl = curl = pycurl.Curl()
        curl.owner = self
        endpoint = target.endpoint
        curl.setopt(pycurl.URL, endpoint.url)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.MAXLIFETIME_CONN, target.connection_age)
        curl.setopt(pycurl.POST, 1)
        if endpoint.method != "POST":
            curl.setopt(pycurl.CUSTOMREQUEST, endpoint.method)
        curl.setopt(pycurl.TIMEOUT_MS, round(endpoint.timeout * 1000))
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, round(endpoint.connect_timeout * 1000))
        curl.setopt(pycurl.WRITEFUNCTION, self._on_body)
        curl.setopt(pycurl.HEADERFUNCTION, self._head.append)
        for option, value in target.options:
            curl.setopt(option, value)
        curl.setopt(pycurl.RESOLVER_START_FUNCTION, self._on_resolve)
        curl.setopt(pycurl.OPENSOCKETFUNCTION, self._on_connect)
        if target.guard is not None or target.proxy is not None:
            curl.setopt(pycurl.PREREQFUNCTION, self._on_connected)

    def send(self, headers: list[str], body: bytes, done: Done, url: str | None) -> None:
        self._done, self._read, self._large = done, 0, len(body) > _LARGE
        self._objection, self._connecting, self._ready, self._shortage = None, False, False, ""
        if url is not None:
            self.curl.setopt(pycurl.URL, url)
        self.curl.setopt(pycurl.HTTPHEADER, headers)
        self.curl.setopt(pycurl.POSTFIELDS, body)
        self._target.start(self)

    def _on_resolve(self) -> int:
        """Let curl resolve a name, perhaps with a socket to another thread."""
        self._target.opening()
        return 0

    def _on_connect(self, _purpose: int, address: Any) -> socket.socket | int:
        """Open the socket of a connection, if the guard allows the address that the name has just resolved to."""
        self._objection = self._target.objection(address.addr[0])
        if self._objection is not None:
            return int(pycurl.SOCKET_BAD)
        self._connecting, self._ready = True, False
        self._target.opening()
        try:
            opened, self._shortage = _Lent(address.family, address.socktype, address.protocol), ""
        except OSError as exc:
            self._shortage = _shortage_of(exc)
            return int(pycurl.SOCKET_BAD)
        return opened

    def _on_connected(self, address: str, _local: str, _port: int, _local_port: int) -> int:
        """Check the address before each request, because another consumer may have opened the connection."""
        self._objection = self._target.objection(address)
        self._ready = True
        return int(pycurl.PREREQFUNC_OK if self._objection is None else pycurl.PREREQFUNC_ABORT)

    def _on_body(self, chunk: bytes) -> int | None:
        if len(self._body) < self._target.endpoint.kept:
            self._body = (self._body + chunk)[: self._target.endpoint.kept]
        self._read += len(chunk)
        return 0 if self._read > self._target.endpoint.read_limit else None  # 0 bytes taken: curl ends the transfer

    def finished(self, code: int, text: str) -> None:
        curl, done = self.curl, self._done
        assert done is not None
        if code and not (code == pycurl.E_WRITE_ERROR and self._read > self._target.endpoint.read_limit):
            answer = Answer(None, *self._failure(code, text), curl.getinfo(pycurl.TOTAL_TIME))
        elif self._ends_in_head():  # curl treats a truncated head as complete
            answer = Answer(None, ErrorClass.RESET, "the answer ends in its headers", curl.getinfo(pycurl.TOTAL_TIME))
        else:
            status = curl.getinfo(pycurl.RESPONSE_CODE)
            headers = answer_headers(self._last_head()) if status >= 300 else {}
            asked = headers.get("retry-after")  # RFC 9110 §10.2.3; curl's own value is limited to six hours
            after = None if asked is None else retry_after(asked, time.time())
            content_type = self._content_type() if self._target.endpoint.typed else None
            seconds = curl.getinfo(pycurl.TOTAL_TIME)
            answer = Answer(status, None, "", seconds, after, self._body, content_type, tuple(headers.items()))
        self._done, self._body = None, b""
        self._head.clear()
        if self._large:
            curl.setopt(pycurl.POSTFIELDS, b"")  # an idle handle must not keep the body in memory
        self._target.idle.append(self)
        done(answer)

    def _failure(self, code: int, text: str) -> tuple[ErrorClass, str]:
        """Return the class and the detail of an error: the guard, the service, the proxy or the target caused it."""
        error = ERRORS.get(code, ErrorClass.PROTOCOL)
        if self._objection is not None and (code == pycurl.E_ABORTED_BY_CALLBACK or not self._connecting):
            return ErrorClass.BLOCKED, self._objection
        shortage = self._shortage or (_shortage() if error is ErrorClass.DNS else "")
        if shortage or error is ErrorClass.INTERNAL:
            return ErrorClass.INTERNAL, f"The service could not send the request: {shortage or text}."
        proxy = None if self._ready else self._target.proxy
        failure = proxy.failure(self.curl, code, text) if proxy else None
        return (ErrorClass.PROXY, failure) if failure else (error, text)

    def _ends_in_head(self) -> bool:
        """Return whether no empty line follows the last status line; trailers may follow the empty line."""
        for line in reversed(self._head):
            if line in _EMPTY:
                return False
            if line[:5] == _STATUS_LINE:
                break
        return True

    def _last_head(self) -> Iterator[bytes]:
        """Yield the lines of the last answer's header and trailers, the last one first, without those of interim
        answers."""
        return takewhile(lambda line: line[:5] != _STATUS_LINE, reversed(self._head))

    def _content_type(self) -> str | None:
        """Return the answer's content type. `getinfo` cannot decode every value that a target may send."""
        value: bytes | None = self.curl.getinfo_raw(pycurl.CONTENT_TYPE)
        return None if value is None else value.decode(errors="replace")


def _shortage_of(error: OSError) -> str:
    """Return the reason if the process or the host has no more descriptors or memory, else an empty text."""
    return str(error) if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM) else ""


def _shortage() -> str:
    """Return why no socket can be opened now, which the resolver reports as an unknown name; empty if one can."""
    try:
        socket.socket().close()
    except OSError as exc:
        return _shortage_of(exc)
    return ""


_STATUS_LINE = b"HTTP/"
_EMPTY = (b"\r\n", b"\n")

"""HTTP to targets by libcurl's multi interface, on the loop of the thread that owns it.

One connection pool for all targets; no thread, no lock and about three system calls a request. Redirects are not
followed, proxies of the environment not used, and an answer is read up to a limit, within the request's timeout.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from contextlib import suppress

import certifi
import pycurl

from domain.consumer import ConsumerSpec
from domain.outcome import Answer, ErrorClass
from gateway.amqp.loop import Loop

READ_LIMIT = 64 * 1024
"""Bytes of an answer's body that are read before the connection is cut; the status stands."""
KEPT = 1024
"""Bytes of an answer's body that are kept, to say why it failed."""
_CONNECTIONS = 1024
"""Idle connections that the pool keeps, over all targets."""

Done = Callable[[Answer], None]


class HttpClient:
    """Owned by the loop's thread."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, _CONNECTIONS)
        self._watched: dict[int, int] = {}  # socket → events; 0: registered still, though curl does not ask
        self._due: float | None = None  # when curl last asked to be called
        self._armed: float | None = None  # when our timer will fire
        self._kick = False
        self.in_flight = 0

    def target(self, spec: ConsumerSpec) -> Target:
        """What a consumer sends to, with handles of its own that are used again."""
        return Target(self, spec)

    def start(self, easy: _Easy) -> None:
        self.in_flight += 1
        self._multi.add_handle(easy.curl)

    def close(self) -> None:
        """Cut what is in flight; its `done` is never called."""
        for fd in list(self._watched):
            self._unwatch(fd)
        self._multi.close()

    # --- sockets and timers, as curl asks for them (https://curl.se/libcurl/c/libcurl-multi.html) --------------------

    def _watch(self, what: int, fd: int, _multi: object, _data: object) -> None:
        """A socket that curl lets go stays registered, for its next request comes soon."""
        if what == pycurl.POLL_REMOVE:
            if fd in self._watched:
                self._watched[fd] = 0
            return
        events = (Loop.READ if what & pycurl.POLL_IN else 0) | (Loop.WRITE if what & pycurl.POLL_OUT else 0)
        if self._watched.get(fd) == events:
            return
        if fd in self._watched:
            try:
                self._loop.update_handler(fd, events)
            except FileNotFoundError:  # closed by curl since, which the kernel notices, and the number used again
                self._loop.add_handler(fd, self._on_event, events)
        else:
            self._loop.add_handler(fd, self._on_event, events)
        self._watched[fd] = events

    def _unwatch(self, fd: int) -> None:
        del self._watched[fd]
        with suppress(OSError):  # closed by curl since: the kernel has taken it out
            self._loop.remove_handler(fd)

    def _on_event(self, fd: int, events: int) -> None:
        if not self._watched.get(fd):
            self._unwatch(fd)  # the other side closed an idle connection; curl finds out when it wants it
            return
        mask = (pycurl.CSELECT_IN if events & Loop.READ else 0) | (pycurl.CSELECT_OUT if events & Loop.WRITE else 0)
        self._multi.socket_action(fd, mask | (pycurl.CSELECT_ERR if events & Loop.ERROR else 0))
        self._loop.at_turn_end(self._turn)

    def _on_timer(self, milliseconds: int) -> None:
        if milliseconds == 0:
            self._kick = True
            self._loop.at_turn_end(self._turn)
        elif milliseconds < 0:
            self._due = None
        else:
            self._due = time.monotonic() + milliseconds / 1000
            self._arm()

    def _arm(self) -> None:
        if self._due is not None and (self._armed is None or self._due < self._armed):
            self._armed = self._due
            self._loop.call_later(max(0.001, self._due - time.monotonic()), self._fire)

    def _fire(self) -> None:
        """A timer that was overtaken by an earlier one still fires; the extra call does nothing."""
        if self._armed is None or time.monotonic() < self._armed:
            return
        self._armed = None
        self._kick = True
        self._turn()
        self._arm()

    def _turn(self) -> None:
        if self._kick:
            self._kick = False
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        while True:
            more, finished, failed = self._multi.info_read()
            for curl in finished:
                self._finish(curl, 0, "")
            for curl, code, text in failed:
                self._finish(curl, code, text)
            if not more:
                return

    def _finish(self, curl: pycurl.Curl, code: int, text: str) -> None:
        self._multi.remove_handle(curl)
        self.in_flight -= 1
        curl.owner.finished(code, text)


class Target:
    """One consumer's URL, method and limits. `send` may be called as often as wanted; each call is one request."""

    def __init__(self, client: HttpClient, spec: ConsumerSpec) -> None:
        self.client, self.spec = client, spec
        self.idle: list[_Easy] = []

    def send(self, headers: list[str], body: bytes, done: Done) -> None:
        """Send `body` with `Name: value` lines; `done` gets the answer, from the loop, exactly once."""
        easy = self.idle.pop() if self.idle else _Easy(self)
        easy.send(headers, body, done)


class _Easy:
    """One curl handle: one request at a time."""

    __slots__ = ("_body", "_done", "_read", "_target", "curl")

    def __init__(self, target: Target) -> None:
        self._target = target
        self._done: Done | None = None
        self._body = b""
        self._read = 0
        self.curl = curl = pycurl.Curl()
        curl.owner = self
        spec = target.spec
        curl.setopt(pycurl.URL, spec.url)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.PROXY, "")
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.POST, 1)
        if spec.method != "POST":
            curl.setopt(pycurl.CUSTOMREQUEST, spec.method)
        curl.setopt(pycurl.TIMEOUT_MS, round(spec.timeout * 1000))
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, round(spec.connect_timeout * 1000))
        curl.setopt(pycurl.WRITEFUNCTION, self._on_body)
        if spec.url.startswith("https"):
            curl.setopt(pycurl.CAINFO, _CA_FILE)

    def send(self, headers: list[str], body: bytes, done: Done) -> None:
        self._done, self._body, self._read = done, b"", 0
        self.curl.setopt(pycurl.HTTPHEADER, headers)
        self.curl.setopt(pycurl.POSTFIELDS, body)
        self._target.client.start(self)

    def _on_body(self, chunk: bytes) -> int | None:
        if len(self._body) < KEPT:
            self._body = (self._body + chunk)[:KEPT]
        self._read += len(chunk)
        return 0 if self._read > READ_LIMIT else None  # 0 bytes taken: curl ends the transfer

    def finished(self, code: int, text: str) -> None:
        curl, done = self.curl, self._done
        assert done is not None
        if code and not (code == pycurl.E_WRITE_ERROR and self._read > READ_LIMIT):
            answer = Answer(None, _ERRORS.get(code, ErrorClass.PROTOCOL), text, curl.getinfo(pycurl.TOTAL_TIME))
        else:
            status = curl.getinfo(pycurl.RESPONSE_CODE)
            after = curl.getinfo(pycurl.RETRY_AFTER) if status in _MAY_DELAY else 0
            answer = Answer(status, None, "", curl.getinfo(pycurl.TOTAL_TIME), after or None, self._body)
        self._done = None
        self._target.idle.append(self)
        done(answer)


_MAY_DELAY = (429, 503)
"""Statuses whose Retry-After is honoured (RFC 6585 §4, RFC 9110 §15.6.4)."""

_CA_FILE = ssl.get_default_verify_paths().cafile or certifi.where()

_ERRORS = {
    pycurl.E_COULDNT_RESOLVE_HOST: ErrorClass.DNS,
    pycurl.E_COULDNT_CONNECT: ErrorClass.CONNECT,
    pycurl.E_OPERATION_TIMEDOUT: ErrorClass.TIMEOUT,
    pycurl.E_SSL_CONNECT_ERROR: ErrorClass.TLS,
    pycurl.E_PEER_FAILED_VERIFICATION: ErrorClass.TLS,
    pycurl.E_SSL_CERTPROBLEM: ErrorClass.TLS,
    pycurl.E_SSL_CIPHER: ErrorClass.TLS,
    pycurl.E_SSL_CACERT_BADFILE: ErrorClass.TLS,
    pycurl.E_SSL_ISSUER_ERROR: ErrorClass.TLS,
    pycurl.E_SSL_INVALIDCERTSTATUS: ErrorClass.TLS,
    pycurl.E_SEND_ERROR: ErrorClass.RESET,
    pycurl.E_RECV_ERROR: ErrorClass.RESET,
    pycurl.E_GOT_NOTHING: ErrorClass.RESET,
    pycurl.E_PARTIAL_FILE: ErrorClass.RESET,
    pycurl.E_SEND_FAIL_REWIND: ErrorClass.RESET,
    pycurl.E_HTTP2: ErrorClass.RESET,
}
"""libcurl's codes (https://curl.se/libcurl/c/libcurl-errors.html); any other is no HTTP that we understand."""

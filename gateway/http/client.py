"""Sends HTTP requests to targets, on the loop of the thread that owns it: with libcurl's multi interface, or on pooled
connections that libcurl only opens (plain.py). All targets share both. A request needs no thread and no lock.
"""

from __future__ import annotations

import time
from itertools import product

import pycurl

from delivery.target_guard import Guard
from delivery.tokens import TokenPeriods
from domain.consumer import ConsumerSpec
from gateway.http.authorizers import authorizer_of
from gateway.http.egress import DIRECT, Egress
from gateway.http.endpoint import Endpoint
from gateway.http.oauth2 import Send
from gateway.http.pool import MOST_IDLE, Pool
from gateway.http.target import Target
from gateway.http.transfer import Transfer
from gateway.loop import Loop, contained

_EVENTS = {
    pycurl.POLL_IN: Loop.READ,
    pycurl.POLL_OUT: Loop.WRITE,
    pycurl.POLL_INOUT: Loop.READ | Loop.WRITE,
}
"""The loop's events for those that curl asks for."""
_READY = {
    (Loop.READ * read) | (Loop.WRITE * write) | (Loop.ERROR * error): (pycurl.CSELECT_IN * read)
    | (pycurl.CSELECT_OUT * write)
    | (pycurl.CSELECT_ERR * error)
    for read, write, error in product((0, 1), repeat=3)
}
"""curl's events for those of the loop."""


class HttpClient:
    """Sends requests on a loop. Owned by the loop's thread."""

    def __init__(
        self,
        loop: Loop,
        guard: Guard | None = None,
        connection_age: float = 600.0,
        egress: Egress = DIRECT,
        tokens: TokenPeriods = TokenPeriods(),  # noqa: B008 - immutable
        idle: float = 118.0,
    ) -> None:
        """Without a guard every address is allowed. Connections older than `connection_age` seconds are not reused, so
        that changes in DNS take effect, nor those that are idle for `idle` seconds."""
        self.loop, self.connection_age, self.egress = loop, round(connection_age), egress
        self.guard, self._tokens, self.connection_idle = guard, tokens, round(idle)
        self.pool = Pool(loop, connection_age, idle)
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, MOST_IDLE)
        self._watched: set[int] = set()  # sockets that curl waits for
        self._due: float | None = None  # time at which curl last asked to be called
        self._armed: float | None = None  # time at which our timer will fire
        self._kick = self._closed = False
        self._transfers = 0

    @property
    def in_flight(self) -> int:
        """Number of requests, and of connections that are being opened."""
        return self._transfers + self.pool.busy

    def target(self, spec: ConsumerSpec) -> Target:
        """Return a consumer's target. It has separate curl handles, which it reuses."""
        return Target(self, Endpoint.of(spec), authorizer_of(spec, self._ask, self._tokens))

    def _ask(self, endpoint: Endpoint) -> Send:
        return Target(self, endpoint).send_request

    def close(self) -> None:
        """Abort all requests in flight; their `done` is not called."""
        self._closed = True  # a turn may still be scheduled
        for fd in self._watched:
            self.loop.remove_handler(fd)
        self._watched.clear()
        self._multi.close()
        self.pool.close()

    def start(self, transfer: Transfer) -> None:
        """Pass a transfer to curl."""
        self._transfers += 1
        self._multi.add_handle(transfer.curl)

    def abort(self, transfer: Transfer) -> None:
        """Take back a transfer that has not finished."""
        self._multi.remove_handle(transfer.curl)
        self._transfers -= 1

    # --- sockets and timers for curl (https://curl.se/libcurl/c/libcurl-multi.html) ----------------------------------

    def _watch(self, what: int, fd: int, _multi: object, _data: object) -> None:
        """Register a socket with the loop, or remove it."""
        if what == pycurl.POLL_REMOVE:
            if fd in self._watched:
                self._watched.discard(fd)
                self.loop.remove_handler(fd)
        elif fd in self._watched:
            self.loop.update_handler(fd, _EVENTS[what])
        else:
            self.loop.add_handler(fd, self._on_event, _EVENTS[what])
            self._watched.add(fd)

    def _on_event(self, fd: int, events: int) -> None:
        self._multi.socket_action(fd, _READY[events & (Loop.READ | Loop.WRITE | Loop.ERROR)])
        self.loop.at_turn_end(self._turn)

    def _on_timer(self, milliseconds: int) -> None:
        if milliseconds == 0:
            self._kick = True
            self.loop.at_turn_end(self._turn)
        elif milliseconds < 0:
            self._due = None
        else:
            self._due = time.monotonic() + milliseconds / 1000
            self._arm()

    def _arm(self) -> None:
        if self._due is not None and (self._armed is None or self._due < self._armed):
            self._armed = self._due
            self.loop.call_later(max(0.001, self._due - time.monotonic()), self._fire)

    def _fire(self) -> None:
        """Call curl if it is due. A timer also fires after an earlier one has replaced it, and then does nothing."""
        if self._armed is None or time.monotonic() < self._armed:
            return
        self._armed = None
        self._kick = True
        self._turn()
        self._arm()

    def _turn(self) -> None:
        if self._kick and not self._closed:
            self._kick = False
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        while not self._closed:
            more, finished, failed = self._multi.info_read()
            for curl in finished:
                self._finish(curl, 0, "")
            for curl, code, text in failed:
                self._finish(curl, code, text)
            if not more:
                return

    def _finish(self, curl: pycurl.Curl, code: int, text: str) -> None:
        then = contained(curl.owner.finished, code, text)  # the other finished transfers must still be handled
        self._multi.remove_handle(curl)
        self._transfers -= 1
        if then is not None:
            contained(then)

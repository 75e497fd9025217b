"""Opens connections to a target with libcurl: it resolves the name, and tries each address that the guard allows."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import partial

import pycurl

from domain.outcome import Answer, ErrorClass
from gateway.http.transfer import Origin, Transfer, unsent

Opened = Callable[[socket.socket], None]
Failed = Callable[[Answer], None]


class Dials:
    """Opens connections to one target."""

    def __init__(self, origin: Origin, unwatch: Callable[[int], None]) -> None:
        """`unwatch` is called with the descriptor of a socket that curl is about to close."""
        self._origin, self.unwatch = origin, unwatch
        self.idle: list[Dial] = []

    def open(self, opened: Opened, failed: Failed) -> None:
        """Call `opened` with a connected socket, or `failed` with the reason as an answer, later on the loop."""
        (self.idle.pop() if self.idle else Dial(self, self._origin)).start(opened, failed)


class Dial(Transfer):
    """One curl handle, which opens one connection at a time
    (https://curl.se/libcurl/c/CURLOPT_CONNECT_ONLY.html)."""

    __slots__ = ("_dials", "_failed", "_opened")

    def __init__(self, dials: Dials, origin: Origin) -> None:
        super().__init__(origin)
        self._dials = dials
        self.curl.setopt(pycurl.CONNECT_ONLY, 1)

    def start(self, opened: Opened, failed: Failed) -> None:
        self._opened, self._failed = opened, failed
        self._start()

    def finished(self, code: int, text: str) -> Callable[[], None]:
        opened, failed = self._opened, self._failed
        del self._opened, self._failed
        self._dials.idle.append(self)
        if code:
            return partial(failed, self._answer(self._failure(code, text)))
        lent = self.curl.getinfo(pycurl.ACTIVESOCKET)
        self._dials.unwatch(lent)
        try:
            return partial(opened, socket.socket(fileno=os.dup(lent)))  # curl closes its own descriptor
        except OSError as exc:
            return partial(failed, self._answer(unsent(str(exc))))

    def _answer(self, failure: tuple[ErrorClass, str]) -> Answer:
        return Answer(None, *failure, self.curl.getinfo(pycurl.TOTAL_TIME))

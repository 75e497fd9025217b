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

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self.idle: list[Dial] = []

    def open(self, opened: Opened, failed: Failed) -> Dial:
        """Call `opened` with a connected socket, or `failed` with the reason as an answer, later on the loop."""
        dial = self.idle.pop() if self.idle else Dial(self, self._origin)
        dial.start(opened, failed)
        return dial


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

    def cancel(self) -> None:
        """Open no connection, and call nobody."""
        self._origin.client.abort(self)
        self._end()

    def finished(self, code: int, text: str) -> Callable[[], None]:
        opened, failed = self._opened, self._failed
        self._end()
        if code:
            return partial(failed, self._answer(self._failure(code, text)))
        try:
            own = os.dup(self.curl.getinfo(pycurl.ACTIVESOCKET))  # curl closes its own descriptor
            return partial(opened, socket.socket(fileno=own))
        except OSError as exc:
            return partial(failed, self._answer(unsent(str(exc))))

    def _end(self) -> None:
        del self._opened, self._failed
        self._dials.idle.append(self)

    def _answer(self, failure: tuple[ErrorClass, str]) -> Answer:
        return Answer(None, *failure, self.curl.getinfo(pycurl.TOTAL_TIME))

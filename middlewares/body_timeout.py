"""A timeout for request bodies: a client that stops or drips within one is answered 408.

It requires gevent's worker. With another server, such as `flask run`, that server's limits apply.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, TYPE_CHECKING

from gevent import Timeout, monkey, sleep

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PIECE = 16 * 1024
"""Bytes of a body that a client must send within the timeout. Other requests run after each piece."""

MAX_UNUSED = 64 * 1024
"""Bytes of an unused body to read, so that the connection can be reused."""


class BodyTimeout:
    """Gives each 16 KiB of a request body, or its rest, `seconds` to arrive."""

    def __init__(self, app: WSGIApplication, seconds: float) -> None:
        self._app, self._seconds = app, seconds

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if monkey.is_module_patched("socket"):
            environ["wsgi.input"] = TimedInput(environ["wsgi.input"], self._seconds)
        return self._app(environ, start_response)


class TimedInput:
    """The part of `wsgi.input` that the service uses. Owned by the request's greenlet."""

    def __init__(self, stream: IO[bytes], seconds: float) -> None:
        self._stream, self._seconds = stream, seconds
        self._failed = False

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer only at the end of the body. Raises TimeoutError, and the server's errors."""
        pieces: list[bytes] = []
        missing = size
        while missing > 0:
            piece = self._piece(min(missing, PIECE))
            if not piece:
                break
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def finish(self) -> bool:
        """Read the rest of the body. Return whether it could be read and was short, so that another request may
        follow.
        """
        if self._failed:
            return False
        try:
            return len(self.read(MAX_UNUSED)) < MAX_UNUSED
        except Exception:  # noqa: BLE001 - PEP 3333 names no errors; each server raises its own
            return False

    def _piece(self, size: int) -> bytes:
        try:
            with Timeout(self._seconds, TimeoutError("the body did not arrive in time")):
                piece = self._stream.read(size)
        except Exception:
            self._failed = True
            raise
        if len(piece) == PIECE:
            sleep(0)  # a fast client never blocks the read, so yield here
        return piece

"""A connection to a target over HTTP/1.1 without TLS: it sends a request, reads the answer, and may then send the next.

The loop watches it from its first request to its end, so that a request needs two system calls.
"""

from __future__ import annotations

import socket
from typing import Protocol

from domain.outcome import ErrorClass
from gateway.http.answer_reader import AnswerReader
from gateway.http.endpoint import Endpoint
from gateway.loop import Loop

_REQUEST_TIMEOUT = 408
"""With this answer some targets close an idle connection (RFC 9110 §15.5.9)."""
_TO_READ = Loop.READ | Loop.ERROR
_CHUNK = 64 * 1024
"""Maximum number of bytes to read at once."""


class Exchange(Protocol):
    """A request, and what to do with its answer. After each method the connection has left it."""

    data: bytes
    """the request, without a large body"""
    large: bytes
    """a large body, which is not copied"""
    endpoint: Endpoint
    connection: Connection | None
    """the connection that has the request"""

    def answered(self, reader: AnswerReader) -> None:
        """Take the answer from the reader, and clear it."""

    def failed(self, error: ErrorClass, detail: str) -> None:
        """There is no answer."""

    def unread(self) -> None:
        """The target closed the connection, which had been idle, without an answer to this request."""


class Owner(Protocol):
    """The pool of a connection."""

    def rest(self, connection: Connection) -> None:
        """Keep a connection whose exchange has ended for another one."""

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""


class Connection:
    """One connection to a place (`host:port`). Owned by the loop's thread."""

    __slots__ = (
        "_exchange", "_loop", "_number", "_owner", "_reader", "_socket", "_unsent", "opened_at", "place", "reused",
        "usable_until",
    )  # fmt: skip

    def __init__(self, loop: Loop, owner: Owner, place: str, opened: socket.socket, now: float) -> None:
        opened.setblocking(False)
        self._loop, self._owner, self.place, self._socket = loop, owner, place, opened
        self._number = opened.fileno()
        self._reader = AnswerReader()
        self._exchange: Exchange | None = None
        self._unsent: list[memoryview] = []
        self.opened_at = self.usable_until = now
        """seconds of the monotonic clock; the pool sets the second one each time that the connection becomes idle"""
        self.reused = False
        """whether it has been idle"""
        loop.add_handler(self._number, self._on_event, Loop.READ)

    def send(self, exchange: Exchange) -> None:
        """Send a request. The connection must have none."""
        self._exchange = exchange
        exchange.connection = self
        self._reader.kept = exchange.endpoint.kept
        data = exchange.data
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:  # the loop reports the socket, after an answer that may have arrived before
            return
        if sent < len(data) or exchange.large:
            self._unsent = [memoryview(one) for one in (data[sent:], exchange.large) if one]
            self._loop.update_handler(self._number, Loop.READ | Loop.WRITE)

    def close(self) -> None:
        """Close the connection; its exchange is not told."""
        if self._socket.fileno() < 0:
            return
        self._exchange, self._unsent = None, []
        self._loop.remove_handler(self._number)
        self._socket.close()
        self._owner.closed(self)

    def _send_rest(self) -> None:
        unsent = self._unsent[0]
        try:
            rest = unsent[self._socket.send(unsent) :]
        except BlockingIOError:
            return
        except OSError:  # as in `send`
            self._unsent.clear()
        else:
            self._unsent[:1] = [rest] if len(rest) else []
        if not self._unsent:
            self._loop.update_handler(self._number, Loop.READ)

    def _on_event(self, _number: int, events: int) -> None:
        if self._unsent and events & Loop.WRITE:
            self._send_rest()
        if not events & _TO_READ:
            return
        exchange, reader = self._exchange, self._reader
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError as exc:
            data, problem = b"", f"{exc.strerror or exc}"
        else:
            problem = ""
        if exchange is None:  # the target closed an idle connection, or sent bytes that belong to no request
            self.close()
        elif not data:
            self._end_of_data(exchange, problem)
        elif (problem := reader.feed(data) or "") and not reader.complete:
            self.close()
            exchange.failed(ErrorClass.PROTOCOL, problem)
        elif reader.complete or (reader.status and reader.exceeds(exchange.endpoint.read_limit)):
            self._finish(exchange, more=len(data) == _CHUNK)

    def _end_of_data(self, exchange: Exchange, problem: str) -> None:
        reader = self._reader
        self.close()
        if not problem and reader.ends_with_connection:
            exchange.answered(reader)
        elif self.reused and not reader.begun:
            exchange.unread()
        else:
            place = "in its body" if reader.status else "in its headers" if reader.begun else "before its first byte"
            exchange.failed(ErrorClass.RESET, problem or f"the answer ends {place}")

    def _finish(self, exchange: Exchange, *, more: bool) -> None:
        """End an exchange with its answer. `more`: the target may have sent more than the answer."""
        reader = self._reader
        if reader.reusable and not (self._unsent or more):
            self._exchange = None
            self._owner.rest(self)
            exchange.answered(reader)
            return
        self.close()
        if reader.status == _REQUEST_TIMEOUT and self.reused:
            exchange.unread()
        else:
            exchange.answered(reader)

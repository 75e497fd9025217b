"""gunicorn's worker, where requests to publish share the main thread, each in a greenlet (gateway/waiting.py).

What they do takes a fraction of a millisecond; the rest is waiting for RabbitMQ. So there is nothing to gain by a
thread each, and much to lose: they hand Python's lock to and fro, and hold up the requests that do need a thread.
"""

from __future__ import annotations

import re
import socket
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from copy import copy
from typing import Any, NamedTuple

import slow_clients
from gateway.waiting import SharedThread

_SHARES = re.compile(rb"(?:POST /messagePublish|GET /health/live) HTTP/1\.1\r\n")
"""All that publishing waits for, it waits for by gateway/waiting.py; but for Idempotency-Key, which is for the store to
know, all along. To say that one is alive waits for nothing: not for a thread either, when all of them wait."""

_KEEPS_A_THREAD = re.compile(
    rb"\r\n(?:(?:idempotency-key|expect|transfer-encoding|upgrade)[ \t]*:|content-length:[ \t]*\d{19})", re.IGNORECASE
)
"""The last is of a body that may still be to come: slow_clients.py looks at 18 digits, gunicorn at as many as there
are."""

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*\d+(?=\r\n)", re.IGNORECASE)

_MOST_ASIDE = 32
"""Threads for what would block, the store or the management API; there are as many as were needed at once."""


def may_share(request: bytes) -> bool:
    """Whether a request is here, exactly, and one of those that never block."""
    if not _SHARES.match(request) or _KEEPS_A_THREAD.search(request, 0, request.find(b"\r\n\r\n")):
        return False
    return slow_clients.size(request) == len(request)


class Worker(slow_clients.Worker):
    """What is whole and never blocks is answered here; all else goes to a thread."""

    def get_thread_pool(self) -> Executor:
        aside = ThreadPoolExecutor(_MOST_ASIDE, "aside")  # no client can hold these up
        self._shared = SharedThread(self.method_queue.defer, aside)
        pool: Executor = super().get_thread_pool()
        return pool

    def serve(self, conn: Any, begun: bytes) -> None:
        if not may_share(begun):
            super().serve(conn, begun)
            return
        if conn.requests is None:
            conn.requests = _Requests(conn.parser)
        answer = _Answer(conn)
        self._shared.start(lambda: bool(self.handle(answer)), lambda keep: self._send(conn, answer.written, keep))

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        super().wait_for_and_dispatch_events(timeout)
        self._shared.end_turn()

    def every_second(self, now: float) -> None:
        super().every_second(now)
        self._shared.expire()

    def _send(self, conn: Any, answer: bytes, keep: bool) -> None:
        """The answer at once, as far as the client takes it; waiting for the client is for a thread."""
        try:
            sent = conn.sock.send(answer, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:
            sent, keep = len(answer), False
        if sent == len(answer):
            self.finish_request(conn, _Done(keep))
            return
        rest: Future[bool] = self.tpool.submit(_send_rest, conn, answer[sent:], keep)
        rest.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))


def _send_rest(conn: Any, rest: bytes, keep: bool) -> bool:
    try:
        conn.sock.setblocking(True)
        conn.sock.sendall(rest)
    except OSError:
        return False
    return keep


class _Done(NamedTuple):
    """What gunicorn asks of the future of a request."""

    keep: bool

    def cancelled(self) -> bool:
        return False

    def exception(self) -> None:
        return None

    def result(self) -> bool:
        return self.keep


class _Requests:
    """gunicorn's parser of one connection, for requests that are here, whole. A client that keeps its connection mostly
    says the same again, but for Content-Length: that head is not parsed again."""

    def __init__(self, parser: Any) -> None:
        self._parser = parser
        self._head = b""
        self._request: Any = None

    def __next__(self) -> Any:
        unreader = self._parser.unreader
        raw = unreader.take_buffered()
        end = raw.index(b"\r\n\r\n") + 4
        head = _LENGTH.sub(b"\r\ncontent-length", raw[:end], 1)  # a head without is another: what follows is no body
        if head != self._head:
            unreader.unread(raw)
            request = next(self._parser)
            self._head, self._request = head, copy(request)
            return request
        unreader.unread(raw[end:])
        request = self._parser.mesg = copy(self._request)
        length = str(len(raw) - end)
        request.headers = [(name, length if name == "CONTENT-LENGTH" else value) for name, value in request.headers]
        request.set_body_reader()
        return request

    def finish_body(self, deadline: float) -> bool:
        """Pass over what has not been read of the last request's body."""
        return bool(self._parser.finish_body(deadline))


class _Answer:
    """What gunicorn takes for the connection, and for its socket: the request is read already, the answer is kept."""

    is_http2 = False
    initialized = data_ready = True

    def __init__(self, conn: Any) -> None:
        self.cfg, self.client, self.server = conn.cfg, conn.client, conn.server
        self.parser = conn.requests
        self.sock = self
        self.written = b""

    def init(self) -> None:
        """It has been made ready."""

    def setblocking(self, flag: bool) -> None:
        """There is nothing to wait for."""

    def gettimeout(self) -> None:
        return None

    def sendall(self, data: bytes) -> None:
        self.written += data

    def shutdown(self, how: int) -> None:
        """gunicorn breaks off an answer that has failed in its midst."""
        raise OSError

    def close(self) -> None:
        pass

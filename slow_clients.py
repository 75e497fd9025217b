"""gunicorn's threaded worker, but a request costs a thread only once it is there.

Clients that send nothing, drip, or stop in the middle wait at the worker's poller, where hundreds of them cost no more
than their sockets. What is too large to wait for is given a thread as it comes, and must come fast enough (`Paced`).
"""

from __future__ import annotations

import re
import socket
import time
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn import http
from gunicorn.workers.gthread import ThreadWorker

WAITED_FOR = 64 * 1024
"""Bytes of a request that are waited for; once it has more, it gets a thread."""

PATIENCE = 5.0
"""Seconds in which a request must be there; or, when it is large, its rest must begin to flow."""

SLOWEST = 32 * 1024
"""Bytes a second that the rest must come at, on average, after these seconds."""

LINGERING = 2.0
"""Seconds that a client has to close its side after the last answer; what it still sends meanwhile is passed over. To
close at once would make TCP reset the connection, which can take the answer from under the client (RFC 9112 §9.6)."""

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n", re.IGNORECASE)
_CODED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect:", re.IGNORECASE)
_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def is_whole(begun: bytes) -> bool:
    """Whether a request has come whole, as far as that can be told cheaply. What is odd is for gunicorn to refuse."""
    head = begun.find(b"\r\n\r\n") + 2
    if head < 2:
        return False
    if _EXPECTS.search(begun, 0, head):  # the client waits for 100 Continue, which gunicorn says from a thread
        return True
    if _CODED.search(begun, 0, head):
        return _has_last_chunk(begun[head + 2 :])
    return len(begun) >= size(begun)


def size(begun: bytes) -> int:
    """Bytes of a request whose head is there, and says by Content-Length, if at all, how long the body is."""
    head = begun.find(b"\r\n\r\n") + 2
    length = _LENGTH.search(begun, 0, head)
    return head + 2 + (int(length[1]) if length else 0)


def _has_last_chunk(body: bytes) -> bool:
    """Whether the chunks end in there (RFC 9112 §7.1)."""
    at = 0
    while (end := body.find(b"\r\n", at)) >= 0:
        try:
            size = int(body[at:end].partition(b";")[0], 16)
        except ValueError:
            return True
        if size <= 0:
            return b"\r\n\r\n" in body[end:]  # trailers may come in between
        at = end + 2 + size + 2
    return False


class Paced:
    """What gunicorn reads a connection by, in a thread. Raises TimeoutError when the client is slower than SLOWEST."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._began: float | None = None
        self._received = 0

    def restart(self) -> None:
        """What is read next is of another request."""
        self._began, self._received = None, 0

    def recv(self, size: int) -> bytes:
        """Wait for the next bytes, at most `size`. The listener's SO_RCVTIMEO bounds the wait for the first of them."""
        now = time.monotonic()
        if self._began is None:
            self._began = now
        if now - self._began > PATIENCE + self._received / SLOWEST:
            raise TimeoutError
        data = self._connection.recv(size)
        self._received += len(data)
        return data


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    """All in the main thread. gunicorn calls `enqueue_req` when there may be something to read of a connection."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._encrypted = self.cfg.is_ssl
        self._buffer = memoryview(bytearray(WAITED_FOR))
        self._looks_again_at = 0.0

    def enqueue_req(self, conn: Any) -> None:
        """Read what is there; the connection goes to a thread, or on waiting."""
        if self._encrypted:
            super().enqueue_req(conn)
            return
        if conn.parser is None:
            conn.parser = http.get_parser(self.cfg, Paced(conn.sock), conn.client)
            conn.waits_since, conn.lingers, conn.requests = None, False, None
        came = self._available(conn.sock)
        begun = conn.parser.unreader.take_buffered() + (came or b"")
        conn.parser.unreader.unread(begun)
        if came == b"" or len(begun) > WAITED_FOR or is_whole(begun):
            conn.data_ready, conn.waits_since = True, None
            conn.parser.unreader.sock.restart()
            self.serve(conn, begun)
        else:
            self._wait(conn)

    def serve(self, conn: Any, begun: bytes) -> None:
        """Have the request answered of which so much has begun; by a thread."""
        super().enqueue_req(conn)

    def _available(self, connection: socket.socket) -> bytes | None:
        """What has come, without waiting for it; None when nothing has, empty when nothing will."""
        try:
            size = connection.recv_into(self._buffer, 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            return b""
        return bytes(self._buffer[:size])

    def _wait(self, conn: Any) -> None:
        conn.waits_since = conn.waits_since or time.monotonic()
        conn.timeout = conn.waits_since + PATIENCE
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def finish_request(self, conn: Any, fs: Any) -> None:
        """gunicorn would wait here, in its main thread, for the client to close its side."""
        if self._encrypted or fs.cancelled() or fs.exception() or fs.result():
            super().finish_request(conn, fs)
            return
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:  # the client was faster
            self._close(conn)
            return
        conn.lingers, conn.timeout = True, time.monotonic() + LINGERING
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self._pass_over, conn))

    def _pass_over(self, conn: Any, connection: socket.socket) -> None:
        if self._available(connection) == b"":
            self.poller.unregister(connection)
            self.pending_conns.remove(conn)
            self._close(conn)

    def _close(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()

    def murder_pending(self) -> None:
        """gunicorn calls this whenever it has done something, and at least once a second."""
        now = time.monotonic()
        if now >= self._looks_again_at:
            self._looks_again_at = now + 1
            self.every_second(now)

    def every_second(self, now: float) -> None:
        """Dismiss those that have had their time, with a word when they began to send; gunicorn would just close."""
        for conn in [conn for conn in self.pending_conns if conn.timeout <= now]:
            self.pending_conns.remove(conn)
            with suppress(OSError, KeyError, ValueError):
                self.poller.unregister(conn.sock)
            if not self._encrypted and not conn.lingers and conn.parser.unreader.take_buffered():
                self.log.info("No whole request came from %s in %g s.", conn.client, PATIENCE)
                with suppress(OSError):
                    conn.sock.send(_TIMEOUT)
            self._close(conn)

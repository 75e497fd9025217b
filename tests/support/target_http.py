"""HTTP/1.1 on the target's side: decodes requests, encodes answers and misbehaviour. Names no behaviour.

Owned by the target's event loop. It uses the raw protocol and reads only the headers it needs: a target slower than the
service would measure itself.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import cast
from urllib.parse import parse_qsl, urlsplit

_MAX_UNSENT = 1 << 16  # bytes of unread output above which an endless answer pauses


@dataclass(frozen=True)
class Request:
    """A received request; `when` is the time of its last byte, in seconds of the monotonic clock."""

    head: bytes
    body: bytes
    when: float = field(default_factory=time.monotonic)

    @cached_property
    def method(self) -> str:
        return self.head.split(b" ", 1)[0].decode()

    @cached_property
    def url(self) -> str:
        return self.head.split(b" ", 2)[1].decode()

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.url).query))

    @cached_property
    def headers(self) -> dict[str, str]:
        """By lower-case name; several of one name joined by ", "."""
        found: dict[str, str] = {}
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            name, _, value = line.partition(":")
            key = name.lower()
            found[key] = f"{found[key]}, {value.strip()}" if key in found else value.strip()
        return found

    @cached_property
    def id(self) -> str:
        """The `webhook-id` header; empty when there is none."""
        return _header(self.head, b"webhook-id").decode()

    @property
    def ids(self) -> list[str]:
        """The ids of its messages: the `webhook-id`, or in a batch of envelopes the `messageId` of each."""
        if not self.id.startswith("batch_"):
            return [self.id]
        return [one["messageId"] for one in json.loads(self.body)]


def _header(head: bytes, name: bytes) -> bytes:
    start = head.lower().find(b"\r\n" + name + b":")
    if start < 0:
        return b""
    end = head.find(b"\r\n", start + 2)
    return head[start + len(name) + 3 : end if end >= 0 else None].strip()


def response(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """Return the bytes of a whole answer."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unnamed"
    extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    return f"HTTP/1.1 {status} {phrase}\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode("latin-1") + body


class Connection(asyncio.Protocol):
    """A client's connection: parses a request, passes it to `serve`, and parses the next after the answer."""

    def __init__(self, serve: Callable[[Request, Connection], None], connections: set[Connection]) -> None:
        self._serve = serve
        self._connections = connections
        self._buffer = b""
        self._busy = False
        self._parsing = False
        self._may_write = asyncio.Event()
        self._may_write.set()
        self.open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(_MAX_UNSENT)
        self.open = True
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._may_write.set()
        self._connections.discard(self)

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        self._parse()

    def _parse(self) -> None:
        if self._parsing:  # answered within `serve`: the loop below continues
            return
        self._parsing = True
        while not self._busy and (request := self._next_request()):
            self._busy = True
            self._serve(request, self)
        self._parsing = False

    def _next_request(self) -> Request | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = self._buffer[:end]
        length = int(_header(head, b"content-length") or 0)
        whole = end + 4 + length
        if len(self._buffer) < whole:
            if _header(head, b"expect").lower() == b"100-continue" and len(self._buffer) == end + 4:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return None
        body = self._buffer[end + 4 : whole]
        self._buffer = self._buffer[whole:]
        return Request(head, body)

    def answer(self, whole: bytes) -> None:
        """Send a whole answer; the connection is free for its next request."""
        if self.open:
            self._transport.write(whole)
            self._busy = False
            self._parse()

    async def send(self, part: bytes) -> bool:
        """Send a part of an answer after the client has read the parts before. Return False once the client is gone."""
        await self._may_write.wait()
        if self.open:
            self._transport.write(part)
        return self.open

    def close(self) -> None:
        """End the connection in order (FIN)."""
        self._transport.close()

    def reset(self) -> None:
        """End the connection by RST."""
        raw = cast(socket.socket, self._transport.get_extra_info("socket"))
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

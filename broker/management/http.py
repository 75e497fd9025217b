"""HTTP/1.1 for the management API: reads requests and encodes responses. Knows neither paths nor the broker.

Head, body and waiting time are limited; chunked bodies are refused.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote

MAX_HEAD = 16 * 1024  # bytes
MAX_BODY = 20_000_000  # bytes, as RabbitMQ's management.http.max_body_size


class HttpError(Exception):
    """A request that gets `status` and ends its connection, because the start of the next request is unknown."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True)
class Request:
    """One request: `path` in decoded segments ("/api/queues/%2F/q" → api, queues, /, q), headers by lower-case name."""

    method: str
    path: tuple[str, ...]
    query: dict[str, str]
    headers: dict[str, str]
    keep_alive: bool = True

    @property
    def length(self) -> int:
        """The body's length in bytes. Raises HttpError for one that is chunked, unreadable or too large."""
        if "transfer-encoding" in self.headers:
            raise HttpError(411)
        text = self.headers.get("content-length", "0")
        if not (text.isascii() and text.isdigit()):
            raise HttpError(400)
        if len(text) > 10 or int(text) > MAX_BODY:
            raise HttpError(413)
        return int(text)


@dataclass(frozen=True)
class Response:
    """One response. `content` is JSON unless it is bytes; None means no body."""

    status: int = 200
    content: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def encode(self, head_only: bool = False, keep_alive: bool = True) -> bytes:
        """Return the bytes to send."""
        body, kind = self._body()
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        headers = {"cache-control": "no-cache", "server": "WorkerRMQ"} | self.headers
        if kind:
            headers["content-type"] = kind
        if self.status != 204:
            headers["content-length"] = str(len(body))
        if not keep_alive:
            headers["connection"] = "close"
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
        return head if head_only else head + body

    def _body(self) -> tuple[bytes, str]:
        if self.content is None:
            return b"", ""
        if isinstance(self.content, bytes):
            return self.content, "text/plain; charset=utf-8"
        return json.dumps(self.content, separators=(",", ":")).encode(), "application/json"


async def read_head(reader: asyncio.StreamReader) -> Request | None:
    """Read the next request's head; return None when the client has closed. Raises HttpError for other protocols than
    HTTP/1.x.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError:
        raise HttpError(431) from None
    return parse_head(head)


def parse_head(head: bytes) -> Request:
    """Parse a request head (RFC 9112 §3 and §5). Raises HttpError(400) for a malformed one."""
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or parts[2] not in ("HTTP/1.1", "HTTP/1.0") or not parts[1].startswith("/"):
        raise HttpError(400)
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise HttpError(400)
        if name.lower() == "content-length" and headers.get("content-length", value.strip()) != value.strip():
            raise HttpError(400)  # request smuggling (RFC 9112 §6.3)
        headers[name.lower()] = value.strip()
    target, _, query = parts[1].partition("?")
    path = tuple(unquote(segment, errors="surrogateescape") for segment in target.split("/")[1:])
    connection = headers.get("connection", "").lower()
    keep_alive = connection != "close" if parts[2] == "HTTP/1.1" else connection == "keep-alive"
    return Request(
        parts[0], path, dict(parse_qsl(query, keep_blank_values=True, errors="surrogateescape")), headers, keep_alive
    )

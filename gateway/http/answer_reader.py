"""Reads the answers of a target from the bytes of a connection (RFC 9112), with llhttp, the parser of Node.js."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from gateway.http.answers import Field

_MOST_HEAD = 300 * 1024
"""Maximum number of bytes before the end of an answer's headers, interim answers included."""
_MOST_FIELDS = 1000
"""Maximum number of headers to return of an answer."""
_MOST_FRAMING = 8
"""Maximum ratio of all bytes of an answer, such as chunk sizes and trailers, to the bytes of its body that are read."""
_LENIENT = {
    "lenient_headers": True,
    "lenient_chunked_length": True,
    "lenient_transfer_encoding": True,
    "lenient_data_after_close": True,
    "lenient_optional_lf_after_cr": True,
    "lenient_optional_cr_before_lf": True,
    "lenient_optional_crlf_after_chunk": True,
    "lenient_spaces_after_chunk_size": True,
}
"""Deviations that are read, because the status of such an answer is clear."""


class AnswerReader:
    """Reads one answer after another. No method blocks or logs."""

    __slots__ = ("_head", "_parser", "_received", "body", "complete", "kept", "read", "reusable", "status")

    kept: int
    """number of bytes of an answer's body to keep"""

    status: int
    """0 until the headers of the answer are complete; an interim answer is none"""
    body: bytes | bytearray
    """the bytes of the body that are kept"""
    read: int
    """number of bytes of the body that have arrived"""
    complete: bool
    reusable: bool
    """whether the target keeps the connection open after a complete answer, and has sent nothing after it"""

    def __init__(self) -> None:
        self._parser = _lenient(self)
        self.kept = 0
        self.begin()

    def begin(self) -> None:
        """Expect the next answer."""
        self.status = self.read = self._received = 0
        self._head: list[bytes] = []
        self.body = b""
        self.complete = self.reusable = False

    def feed(self, data: bytes) -> str | None:
        """Read bytes that have arrived. Return the reason if they are not HTTP, or if the headers are too large."""
        self._received += len(data)
        if not self.status:
            self._head.append(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            return "the target switched to another protocol"
        except HttpParserError as exc:
            self.reusable = False
            return None if self.complete else f"the answer is not HTTP: {exc.__context__ or exc}"
        if not self.status and self._received > _MOST_HEAD:
            return f"the headers of the answer have more than {_MOST_HEAD} bytes"
        return None

    def exceeds(self, limit: int) -> bool:
        """Return whether more than `limit` bytes of the body have arrived, or far more in chunks and trailers."""
        return self.read > limit or self._received > _MOST_HEAD + _MOST_FRAMING * limit

    @property
    def begun(self) -> bool:
        """Whether any bytes of the answer have arrived."""
        return self._received > 0

    def fields(self) -> list[Field]:
        """Return the headers of the answer. They are parsed only here, because few answers need them."""
        return _Head(self._head).fields

    @property
    def ends_with_connection(self) -> bool:
        """Whether the end of the connection is the end of the answer (RFC 9112 §6.3)."""
        if not self.status:
            return False
        fields = {name.lower(): value for name, value in self.fields()}
        coding = fields.get(b"transfer-encoding")
        framed = b"content-length" in fields if coding is None else coding.strip().lower().endswith(b"chunked")
        return not framed

    # --- called by the parser (https://github.com/MagicStack/httptools) ----------------------------------------------

    def on_message_begin(self) -> None:
        if self.complete:
            raise ValueError("the target sent more than the answer")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200:
            self.status = status
        elif status < 100:
            raise ValueError(f"status {status:03}")

    def on_body(self, chunk: bytes) -> None:
        self.read += len(chunk)
        if len(self.body) < self.kept:
            self.body = keep(self.body, chunk, self.kept)

    def on_message_complete(self) -> None:
        if self.status:
            self.complete, self.reusable = True, self._parser.should_keep_alive()


class _Head:
    """The first headers of an answer that was read before, without those of interim answers and without trailers."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.fields: list[Field] = []
        self._ended = False
        self._parser = _lenient(self)
        with suppress(HttpParserError):  # bytes after the answer
            for piece in pieces:
                self._parser.feed_data(piece)

    def on_message_begin(self) -> None:
        if not self._ended:
            self.fields.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._ended and len(self.fields) < _MOST_FIELDS:
            self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        self._ended = self._parser.get_status_code() >= 200


def _lenient(protocol: object) -> HttpResponseParser:
    parser = HttpResponseParser(protocol)
    parser.set_dangerous_leniencies(**_LENIENT)
    return parser


def keep(body: bytes | bytearray, chunk: bytes, most: int) -> bytes | bytearray:
    """Return a body with a chunk appended, at most `most` bytes of it. Most bodies have only one chunk."""
    if not body:
        return chunk[:most]
    if isinstance(body, bytes):
        body = bytearray(body)
    body += chunk[: most - len(body)]
    return body

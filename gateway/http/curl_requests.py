"""Requests to a target with libcurl: those with TLS, through a proxy, or with credentials that libcurl adds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import takewhile

import pycurl

from domain.outcome import Answer, ErrorClass
from gateway.http.answer_reader import keep
from gateway.http.answers import Field, answer_of
from gateway.http.endpoint import Done
from gateway.http.transfer import Origin, Transfer

_LARGE = 16 * 1024
"""Size of a request body in bytes above which an idle handle does not keep it."""
_STATUS_LINE = b"HTTP/"
_EMPTY = (b"\r\n", b"\n")


class CurlRequests:
    """Sends the requests of one endpoint. Keeps its idle handles."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self.idle: list[CurlRequest] = []

    def send(self, headers: list[str], body: bytes, done: Done, url: str | None) -> None:
        """Send a request; see Target.send."""
        (self.idle.pop() if self.idle else CurlRequest(self, self._origin)).send(headers, body, done, url)


class CurlRequest(Transfer):
    """One curl handle, for one request at a time."""

    __slots__ = ("_body", "_done", "_endpoint", "_head", "_large", "_read", "_requests")

    def __init__(self, requests: CurlRequests, origin: Origin) -> None:
        super().__init__(origin)
        self._requests, self._endpoint = requests, origin.endpoint
        self._done: Done | None = None
        self._body: bytes | bytearray = b""
        self._read, self._large = 0, False
        self._head: list[bytes] = []  # lines of interim answers, the answer and its trailers; curl limits them
        curl, endpoint = self.curl, origin.endpoint
        curl.setopt(pycurl.MAXLIFETIME_CONN, origin.client.connection_age)
        curl.setopt(pycurl.MAXAGE_CONN, origin.client.connection_idle)
        curl.setopt(pycurl.POST, 1)
        if endpoint.method != "POST":
            curl.setopt(pycurl.CUSTOMREQUEST, endpoint.method)
        curl.setopt(pycurl.TIMEOUT_MS, round(endpoint.timeout * 1000))
        curl.setopt(pycurl.WRITEFUNCTION, self._on_body)
        curl.setopt(pycurl.HEADERFUNCTION, self._head.append)

    def send(self, headers: list[str], body: bytes, done: Done, url: str | None) -> None:
        self._done, self._read, self._large = done, 0, len(body) > _LARGE
        if url is not None:
            self.curl.setopt(pycurl.URL, url)
        self.curl.setopt(pycurl.HTTPHEADER, ["Expect:", *headers])  # curl would send `Expect: 100-continue`
        self.curl.setopt(pycurl.POSTFIELDS, body)
        self._start()

    def finished(self, code: int, text: str) -> Callable[[], None]:
        done = self._done
        assert done is not None
        answer = self._answer(code, text)
        self._done, self._body = None, b""
        self._head.clear()
        if self._large:
            self.curl.setopt(pycurl.POSTFIELDS, b"")  # an idle handle must not keep the body in memory
        self._requests.idle.append(self)
        return partial(done, answer)

    def _on_body(self, chunk: bytes) -> int | None:
        if len(self._body) < self._endpoint.kept:
            self._body = keep(self._body, chunk, self._endpoint.kept)
        self._read += len(chunk)
        return 0 if self._read > self._endpoint.read_limit else None  # 0 bytes taken: curl ends the transfer

    def _answer(self, code: int, text: str) -> Answer:
        seconds = self.curl.getinfo(pycurl.TOTAL_TIME)
        if code and not (code == pycurl.E_WRITE_ERROR and self._read > self._endpoint.read_limit):
            return Answer(None, *self._failure(code, text), seconds)
        if self._ends_in_head():  # curl treats a truncated head as complete
            return Answer(None, ErrorClass.RESET, "the answer ends in its headers", seconds)
        status = self.curl.getinfo(pycurl.RESPONSE_CODE)
        return answer_of(self._endpoint, status, self._fields, bytes(self._body), self._read, seconds)

    def _ends_in_head(self) -> bool:
        """Return whether no empty line follows the last status line; trailers may follow the empty line."""
        for line in reversed(self._head):
            if line in _EMPTY:
                return False
            if line[:5] == _STATUS_LINE:
                break
        return True

    def _fields(self) -> list[Field]:
        """Return the headers and trailers of the last answer, without those of interim answers."""
        lines = takewhile(lambda line: line[:5] != _STATUS_LINE, reversed(self._head))
        return [(name, value) for name, _, value in (line.partition(b":") for line in lines)][::-1]

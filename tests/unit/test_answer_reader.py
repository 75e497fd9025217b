"""Answers of targets are read alike in one piece, byte by byte, and with bytes after them."""

from __future__ import annotations

import pytest

from gateway.http.answer_reader import AnswerReader

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n3\r\n...\r\n0\r\nX-Sum: 1\r\n\r\n"
SIZED = OK + b"Content-Length: 5\r\nServer: s\r\n\r\nok..."
EARLY = b"HTTP/1.1 103 Early Hints\r\nServer: early\r\n\r\n" + SIZED
COMPLETE = {
    "sized": (SIZED, 200, b"ok...", True),
    "chunked": (CHUNKED, 200, b"ok...", True),
    "after an interim answer": (EARLY, 200, b"ok...", True),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    "that closes": (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", False),
    "of HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", False),
}
"""Answers that say where they end: status, body, and whether the connection may be used again."""
UNTIL_CLOSE = {
    "without a length": OK + b"\r\nok",
    "identity": OK + b"Transfer-Encoding: identity\r\n\r\nok",
    "another coding": OK + b"Transfer-Encoding: gzip\r\nContent-Length: 7\r\n\r\nok",
}


def fed(answer: bytes, size: int, kept: int = 100) -> AnswerReader:
    """Return a reader that has read an answer in pieces."""
    reader = AnswerReader()
    reader.kept = kept
    for start in range(0, len(answer), size):
        assert reader.feed(answer[start : start + size]) is None
    return reader


@pytest.mark.parametrize("size", [1, 2, 1000])
@pytest.mark.parametrize("name", COMPLETE)
def test_an_answer_is_complete_at_its_last_byte(name: str, size: int) -> None:
    answer, status, body, reusable = COMPLETE[name]
    assert not fed(answer[:-1], size).complete
    reader = fed(answer, size)
    assert (reader.complete, reader.status, bytes(reader.body), reader.reusable) == (True, status, body, reusable)
    assert reader.read == len(body)


@pytest.mark.parametrize("size", [1, 30, 1000])
def test_the_headers_are_those_of_the_last_answer_without_trailers(size: int) -> None:
    assert fed(EARLY, size).fields() == [(b"Content-Length", b"5"), (b"Server", b"s")]
    assert fed(CHUNKED, size).fields() == [(b"Transfer-Encoding", b"chunked")]
    assert fed(SIZED + EARLY, 1000).fields() == [(b"Content-Length", b"5"), (b"Server", b"s")]


@pytest.mark.parametrize("surplus", [b"x", SIZED], ids=["a byte", "another answer"])
def test_a_connection_with_bytes_after_the_answer_is_not_used_again(surplus: bytes) -> None:
    reader = fed(SIZED + surplus, 1000)
    assert (reader.complete, reader.status, bytes(reader.body), reader.reusable) == (True, 200, b"ok...", False)


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("name", UNTIL_CLOSE)
def test_an_answer_without_a_length_ends_with_its_connection(name: str, size: int) -> None:
    reader = fed(UNTIL_CLOSE[name], size)
    assert (reader.complete, reader.ends_with_connection, bytes(reader.body)) == (False, True, b"ok")


@pytest.mark.parametrize("answer", [SIZED[:-1], CHUNKED[:-1], SIZED[:20], OK], ids=["sized", "chunked", "head", "line"])
def test_an_answer_that_is_cut_off_does_not_end_with_its_connection(answer: bytes) -> None:
    assert not fed(answer, 1000).ends_with_connection


def test_one_answer_after_another_is_read() -> None:
    reader = AnswerReader()
    reader.kept = 2
    for _ in range(3):
        reader.begin()
        assert not reader.begun
        assert reader.feed(SIZED) is None
        assert (reader.complete, reader.reusable, reader.body, reader.read) == (True, True, b"ok", 5)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "the answer is not HTTP: Expected HTTP/"),
        (OK + b"Content-Length: x\r\n\r\n", "the answer is not HTTP: Invalid character in Content-Length"),
        (b"HTTP/1.1 042 Odd\r\n\r\n", "the answer is not HTTP: status 042"),
        (b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "the target switched to another protocol"),
    ],
)
def test_bytes_that_are_no_answer_are_reported(answer: bytes, reason: str) -> None:
    assert str(AnswerReader().feed(answer)).startswith(reason)


def test_headers_without_end_are_refused() -> None:
    reader = AnswerReader()
    found = [reader.feed(line) for line in (OK, *[b"X-Filler: %s\r\n" % (b"x" * 1000)] * 400)]
    assert "more than 307200 bytes" in str(next(filter(None, found)))


def test_the_first_thousand_headers_are_returned() -> None:
    reader = fed(OK + b"a:\r\n" * 5000 + b"\r\n", 1000)
    assert (reader.status, len(reader.fields())) == (200, 1000)


def test_an_answer_of_tiny_chunks_exceeds_the_limit_long_before_its_body_does() -> None:
    reader = fed(OK + b"Transfer-Encoding: chunked\r\n\r\n", 1000)
    pieces = 0
    while not reader.exceeds(1000):
        assert reader.feed(b"1;%s\r\nx\r\n" % (b"e" * 5000)) is None
        pieces += 1
    assert pieces < 100
    assert reader.read == pieces

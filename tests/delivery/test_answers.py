"""Each request to a target ends in one answer, even if the target sends malformed bytes."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from domain.outcome import Answer, ErrorClass
from gateway.http.client import HttpClient
from gateway.loop import Loop
from tests.delivery.client import Client
from tests.delivery.raw_server import answering
from tests.support.target import Target

OK, BUSY = b"HTTP/1.1 200 OK", b"HTTP/1.1 503 Busy\r\nRetry-After: "
HEADS = [OK, b"HTTP/1.0 200", OK + b"\xff\xfe", b"HTTP/\xff 200", b"HTTP/2 200", b"HTTP/1.1 -20 x", b"HTTP/1.1 1000 x",
         b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 204 No", b"ICY 200 OK", b"HTTP/1.1 304 No", BUSY + b"\xff",
         BUSY + b"9" * 5000,
         BUSY + b"\xc2\xb2", BUSY + b"Fri, 31 Dec 0000 23:59:59 +9999",
         b"HTTP/1.1 401 U\r\nWWW-Authenticate: Negotiate \xff"]  # fmt: skip
LINES = [b"Content-Length: 2", b"Content-Length: -2", b"Content-Length: 99999999999999999999", b": x", b" folded",
         b"Transfer-Encoding: \xff", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked",
         b"Content-Encoding: \xff", b"Content-Type: text/plain; \xff\xfc", b"Content-Type:", b"Location: \xff://\x00",
         b"X: \x00y", b"\x00", b"Connection: Upgrade\r\nUpgrade: h2c"]  # fmt: skip
BODIES = [b"", b"ok", b"2\r\nok\r\n0\r\n\r\n", b"ffffffffffffffffff\r\n", b"x" * 200_000,
          b"2\r\nok\r\n0\r\nTrailer: \xff\r\n\r\n"]  # fmt: skip


@pytest.fixture
def client() -> Iterator[Client]:
    """Without a guard."""
    one = Client()
    yield one
    one.close()


def odd_answer(chance: random.Random) -> bytes:
    """Parts of answers put together at random, some of them with a few bytes changed, lost or cut off."""
    lines = [chance.choice(HEADS), *chance.choices(LINES, k=chance.randrange(4)), b"", chance.choice(BODIES)]
    answer = bytearray(b"\r\n".join(lines))
    for _ in range(chance.choice((0, 0, 1, 5))):
        place = chance.randrange(len(answer))
        match chance.randrange(3):
            case 0:
                answer[place] = chance.randrange(256)
            case 1:
                answer[place : place + 1] = b""
            case _:
                del answer[place + 1 :]
    return bytes(answer)


@pytest.mark.parametrize("seed", range(3))
def test_each_request_ends_in_one_answer_whatever_bytes_come_back(client: Client, seed: int) -> None:
    chance = random.Random(seed)
    with answering(lambda: odd_answer(chance)) as address:
        answers = [client.post(f"http://{address}/", reply=True) for _ in range(100)]
    assert client.http.in_flight == 0
    for answer in answers:
        assert (answer.status is None) is (answer.error is not None)


def test_every_status_is_seen_as_it_is(client: Client, target: Target) -> None:
    answers: dict[int, Answer] = {status: client.post(target.url(f"/status/{status}")) for status in range(200, 600)}
    assert {status: answer.status for status, answer in answers.items()} == {status: status for status in answers}


@pytest.mark.parametrize("status", [100, 102, 103, 150, 199])
def test_an_interim_response_is_not_the_answer(client: Client, status: int) -> None:
    final = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
    with answering(b"HTTP/1.1 %d Between\r\n\r\n" % status + final) as address:
        assert client.post(f"http://{address}/").status == 202


TRAILED = OK + b"\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"


@pytest.mark.parametrize("answer", [TRAILED, b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"], ids=["trailers", "bare LF"])
def test_an_answer_is_whole_also_with_trailers_and_with_bare_line_ends(client: Client, answer: bytes) -> None:
    with answering(answer) as address:
        assert client.post(f"http://{address}/").status == 200


@pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"], ids=["at once", "after an interim one"])
def test_an_answer_that_ends_in_its_headers_is_none(client: Client, interim: bytes) -> None:
    with answering(interim + OK + b"\r\nContent-Length: 2\r\n") as address:
        assert client.post(f"http://{address}/").error is ErrorClass.RESET


def test_when_to_come_back_is_not_read_from_an_interim_answer(client: Client) -> None:
    final = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    with answering(b"HTTP/1.1 103 Early Hints\r\nRetry-After: 60\r\n\r\n" + final) as address:
        assert client.post(f"http://{address}/").retry_after is None


def test_a_client_that_is_closed_by_its_last_answer_does_nothing_more(capfd: pytest.CaptureFixture[str]) -> None:
    loop = Loop()
    closed = HttpClient(loop)
    closed._on_timer(0)  # curl wants to be called, as when the last request times out amid an answer
    closed.close()
    loop.call_later(0.01, loop.finish)
    loop.run()
    assert "crashed" not in "".join(capfd.readouterr())

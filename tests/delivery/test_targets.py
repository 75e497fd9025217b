"""Every way in which a target fails to answer: its place in the table, in bounded time and memory, and nobody waits."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from delivery.periods import Periods
from tests.delivery.raw_server import answering, self_signed
from tests.delivery.running import AT_ONCE, Consumers
from tests.support.amqp import publish, ready, take
from tests.support.processes import free_port, wait_until
from tests.support.target import Target

pytestmark = pytest.mark.broker_independent

EMPTY = b"Content-Length: 0\r\n\r\n"
GZIP_BOMB = b"\x1f\x8b\x08" + bytes(60_000)
RAW = {
    "not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", "protocol"),
    "HTTP/0.9": (b"<html>hello</html>", "protocol"),
    "header that is none": (b"HTTP/1.1 200 OK\r\nno colon\r\n" + EMPTY, None),
    "status below 100": (b"HTTP/1.1 042 Odd\r\n" + EMPTY, "protocol"),
    "switching protocols": (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "protocol"),
    "100 Continue, then 200": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + EMPTY, ""),
    "early hints, then 200": (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n" + EMPTY, ""),
    "status cut off": (b"HTTP/1.1 20", None),
    "headers cut off": (b"HTTP/1.1 200 OK\r\nContent-Le", "reset"),
    "headers without end": (b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"a" * 90_000 + b"\r\n" + b"X-B: b\r\n" * 60_000, None),
    "body longer than it says": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokokok", ""),
    "length that is none": (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", None),
    "chunk that is none": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", None),
    "HTTP/1.0 without a length": (b"HTTP/1.0 200 OK\r\n\r\nok", ""),
    "gzip bomb": (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 60003\r\n\r\n" + GZIP_BOMB, ""),
}
"""Answers, and what is made of them: an error class; "" a success; None a failure of whichever class."""


HANGING = {
    "before the end of the status": b"HTTP/1.1 20",
    "in the headers": b"HTTP/1.1 200 OK\r\nContent-Le",
    "in the body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok",
    "in a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nok",
    "after 100 Continue": b"HTTP/1.1 100 Continue\r\n\r\n",
}
"""Answers after which the connection stays open and nothing more comes."""


def test_every_failure_has_its_class_and_a_target_that_works_is_served_meanwhile(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, tmp_path: Path
) -> None:
    expected: dict[str, str | None] = {
        target.url("/hang"): "timeout",
        target.url("/drip"): "timeout",
        target.url("/reset"): "reset",
        target.url("/close"): "reset",
        target.url("/truncated"): "reset",
        target.url("/endless"): "",
        f"http://127.0.0.1:{free_port()}/": "connect",
        "http://no-such-host.invalid/": "dns",
        target.url("/ok").replace("http:", "https:"): "timeout",  # it waits for the end of what is no request
    }
    with ExitStack() as servers:
        for answer in HANGING.values():
            expected[f"http://{servers.enter_context(answering(answer, hang=True))}/"] = "timeout"
        for answer, error in RAW.values():
            expected[f"http://{servers.enter_context(answering(answer))}/"] = error
        expected[f"https://{servers.enter_context(answering(b'', self_signed(tmp_path)))}/"] = "tls"
        expected[f"https://{servers.enter_context(answering(b'HTTP/1.1 400 Bad Request' + EMPTY))}/"] = "tls"
        for number, url in enumerate(expected):
            name = f"{queue}-{number}"
            channel.queue_declare(name, durable=True)
            publish(channel, name, b"body")
            consumers.run(name, url, timeout=2, connect_timeout=2, retry=AT_ONCE)
        consumers.deliver(queue, target.url("/ok"))
        publish(channel, queue, *map(str, range(50)))
        wait_until(lambda: (one := consumers.report(queue)) and one.delivered == 50, 20)
        found: dict[str, str | None] = {}
        for number, url in enumerate(expected):
            name = f"{queue}-{number}"
            report = wait_until(
                lambda name=name: (one := consumers.report(name)) and one.delivered + one.dead_lettered and one, 30, url
            )
            assert report.in_flight == 0
            found[url] = "" if report.delivered else take(channel, f"{name}.dlq", 1)[0].headers.get("workerrmq-error")
    wrong = {url: (found[url], error) for url, error in expected.items() if error not in (None, found[url])}
    assert not wrong, "found, expected"
    assert all(found[url] != "" for url, error in expected.items() if error is None)


def test_endless_answers_take_no_memory_and_their_status_counts(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    publish(channel, queue, *map(str, range(50)))
    consumers.deliver(queue, target.url("/endless"), timeout=10)
    wait_until(lambda: (one := consumers.report(queue)) and one.delivered == 50, 30)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000, "KiB"


def test_a_target_that_hangs_is_cut_at_its_timeout_and_the_connection_is_not_used_again(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, b"body", message_id="m-1")
    consumers.deliver(queue, target.url("/hang"), timeout=1, retry=AT_ONCE)
    (letter,) = take(channel, f"{queue}.dlq", 1)
    assert letter.headers["workerrmq-error"] == "timeout"
    wait_until(lambda: target.open_connections == 0)
    assert ready(channel, queue) == 0


def test_a_target_that_closes_every_connection_which_it_promised_to_keep_costs_no_attempt(
    consumers: Consumers, channel: BlockingChannel, queue: str
) -> None:
    publish(channel, queue, *map(str, range(30)))
    with answering(b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok") as address:
        consumers.deliver(queue, f"http://{address}/", prefetch=3)
        report = wait_until(lambda: (one := consumers.report(queue)) and one.delivered == 30 and one, 20)
    assert report.error is None


def test_a_target_that_comes_back_is_delivered_to(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    port = target.port
    target.stop()
    publish(channel, queue, b"body", message_id="m-1")
    consumers.deliver(queue, f"http://127.0.0.1:{port}/ok", retry={"schedule": (1, 1, 1, 1, 1, 1), "jitter": 0})
    wait_until(lambda: (one := consumers.report(queue)) and one.retried)
    with Target(port=port) as again:
        (request,) = again.wait_for(1)
        assert request.id == "m-1"
        assert int(request.headers["x-delivery-attempt"]) > 1


def test_a_connection_is_replaced_after_its_age_again_and_again(
    make_consumers: Callable[..., Consumers], channel: BlockingChannel, queue: str, target: Target
) -> None:
    make_consumers(periods=Periods(connection_age=1)).run(queue, target.url())

    def replaced() -> bool:
        before = target.count
        publish(channel, queue, b"body")
        target.wait_for(before + 1)
        return target.connections_opened >= 4

    wait_until(replaced, 20, "the fourth connection")
    assert target.count > 10, "each is used many times"


@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
def test_the_certificates_of_the_system_count_however_the_scheme_is_written(tmp_path: Path, scheme: str) -> None:
    with answering(b"HTTP/1.1 200 OK\r\n" + EMPTY, self_signed(tmp_path)) as place:
        code = f"from tests.delivery.client import Client; print(Client().post('{scheme}://{place}/'))"
        trusting = os.environ | {"SSL_CERT_FILE": str(tmp_path / "server.pem")}
        answer = subprocess.check_output([sys.executable, "-c", code], env=trusting, text=True, timeout=60)
    assert "status=200" in answer

"""Failures of the service itself: no descriptor, no memory, a CA file of ours that is gone. No message is charged."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pycurl
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from domain.consumer import ConsumerSpec
from domain.outcome import Answer, ErrorClass, Outcome
from domain.outcome_rules import OutcomeRules
from gateway.consuming.breakers import Breakers
from gateway.http.curl_errors import ERRORS
from gateway.http.egress import Egress
from tests.delivery.client import Client
from tests.delivery.running import AT_ONCE, Consumers
from tests.support.amqp import publish, ready
from tests.support.processes import wait_until
from tests.support.target import Target


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Let this process open no file and no socket; those that are open stay usable."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def client() -> Iterator[Client]:
    one = Client()
    yield one
    one.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "no-such-host.invalid"])
def test_a_request_for_which_the_process_has_no_descriptor_is_no_failure_of_the_target(
    client: Client, target: Target, host: str
) -> None:
    with no_descriptor_left():
        answer = client.post(f"http://{host}:{target.port}/ok")
    assert answer.error is ErrorClass.INTERNAL
    assert "Too many open files" in answer.detail
    assert client.post(target.url()).status == 200
    assert client.post("http://no-such-host.invalid/").error is ErrorClass.DNS


def test_messages_wait_while_the_process_has_no_descriptor_and_are_charged_nothing(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    consumers.deliver(queue, target.url(), retry=AT_ONCE, breaker={"failures": 2})
    with no_descriptor_left():
        publish(channel, queue, *map(str, range(10)))
        report = wait_until(lambda: (one := consumers.report(queue)) and one.requeued > 3 and one)
        assert "Too many open files" in (report.error or "")
        assert report.dead_lettered == 0
    wait_until(lambda: (one := consumers.report(queue)) and (one.delivered, one.in_flight) == (10, 0), 20)
    assert {request.headers["x-delivery-attempt"] for request in target.requests} == {"1"}
    assert ready(channel, f"{queue}.dlq") == 0


@pytest.mark.parametrize("proxy", [None, "socks5://127.0.0.1:9"])
def test_a_ca_file_of_ours_that_is_gone_is_no_failure_of_the_target(
    target: Target, tmp_path: Path, proxy: str | None
) -> None:
    client = Client(egress=Egress(ca_file=str(tmp_path / "gone.pem")))
    try:
        answer = client.post(target.url().replace("http:", "https:"))
    finally:
        client.close()
    assert answer.error is ErrorClass.INTERNAL
    assert "could not send" in answer.detail


@pytest.mark.parametrize("code", [pycurl.E_OUT_OF_MEMORY, pycurl.E_FAILED_INIT, pycurl.E_SSL_CACERT_BADFILE])
def test_errors_of_libcurl_that_are_ours_charge_nothing_and_no_rule_changes_that(code: int) -> None:
    rules = OutcomeRules(retry=("network", "5xx"))
    assert rules.table.outcome_of(Answer(None, ERRORS[code], "", 0.1)) is Outcome.UNSENT
    with pytest.raises(ValueError, match="unknown rule"):
        _ = OutcomeRules(retry=("internal",)).table


def test_a_handle_that_is_idle_keeps_no_large_body_in_memory(client: Client, target: Target) -> None:
    body = bytes(100_000)
    before = sys.getrefcount(body)
    assert client.post(target.url(), body).status == 200
    assert client.post("http://127.0.0.1:9/", body).error is ErrorClass.CONNECT
    assert sys.getrefcount(body) == before


def test_a_breaker_that_was_open_is_removed_after_its_consumers(client: Client) -> None:
    class Silent:
        def breaker_changed(self, event: object) -> None:
            pass

    breakers, member = Breakers(client.loop, 60), Silent()
    for number in range(20):
        breaker = breakers.of(ConsumerSpec(queue_name="q", url=f"http://host-{number}/"))
        breakers.join(member, breaker)
        breaker.pause(0.01, "HTTP 429")
        breakers.leave(member, breaker)
        again = breakers.of(ConsumerSpec(queue_name="q", url=f"http://host-{number}/"))
        assert again is breaker, "a pause that the target asked for outlives its consumer"
        while not breaker.reason or "next attempt" in breaker.reason:
            client.loop.poll()
            client.loop.process_timeouts()
    breakers.of(ConsumerSpec(queue_name="q", url="http://another/"))
    assert len(breakers._breakers) == 1

"""The request to the target, and the message after a 2xx."""

from __future__ import annotations

import base64

import pytest
from pika.adapters.blocking_connection import BlockingChannel
from standardwebhooks.webhooks import Webhook

from tests.delivery.running import Consumers
from tests.support.amqp import publish, ready, wait_ready
from tests.support.processes import wait_until
from tests.support.target import Target

SECRET = "whsec_" + base64.b64encode(b"a key of twenty-four bytes").decode()


@pytest.mark.parametrize("status", [200, 204])
def test_a_2xx_takes_the_message_off_the_queue(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, status: int
) -> None:
    publish(channel, queue, *"12345")
    consumers.deliver(queue, target.url(f"/status/{status}"))
    target.wait_for(5)
    wait_until(lambda: (report := consumers.report(queue)) and report.delivered == 5)
    consumers.end(5)  # an unacked message would now go back
    assert ready(channel, queue) == 0
    assert target.count == 5
    assert target.connections_opened <= 5


def test_a_consumer_reports_how_its_last_answers_went_and_how_long_they_took(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, "1", "2", "3")
    target.answer = lambda request: 400 if request.body == b"2" else 200
    consumers.deliver(queue, target.url("/ok"))
    report = wait_until(lambda: (one := consumers.report(queue)) and one.answers == 3 and one)
    assert report.succeeded == 2
    assert report.p50_ms is not None
    assert report.p99_ms is not None
    assert 0 < report.p50_ms <= report.p99_ms


def test_the_target_gets_the_message_as_published_and_what_says_which_it_is(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    body = '{"grüße": "\N{SNOWMAN}"}'.encode()
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    publish(
        channel, queue, body,
        content_type="application/json; charset=utf-8", message_id="order-1", correlation_id="corr-1",
        headers={"traceparent": traceparent, "secret": "stays in the broker"},
    )  # fmt: skip
    consumers.deliver(queue, target.url("/ok?x=1"), signing_secret=SECRET, headers={"X-Env": "test"}, method="PUT")
    request = target.wait_for(1)[0]
    got = request.headers
    assert (request.method, request.url, request.body) == ("PUT", "/ok?x=1", body)
    assert got["content-type"] == "application/json; charset=utf-8"
    assert got["webhook-id"] == "order-1"
    assert got["x-queue-name"] == queue
    assert got["x-delivery-attempt"] == "1"
    assert got["x-correlation-id"] == "corr-1"
    assert got["traceparent"] == traceparent
    assert got["x-env"] == "test"
    assert "secret" not in request.head.decode()
    Webhook(SECRET).verify(request.body, got, json_parse=False)


@pytest.mark.parametrize("body", [b"", bytes(range(256)) * 4, b"\r\n\r\nGET / HTTP/1.1", b"x" * 3_000_000])
def test_any_body_arrives_byte_by_byte(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, body: bytes
) -> None:
    publish(channel, queue, body)
    consumers.deliver(queue, target.url())
    request = target.wait_for(1)[0]
    assert request.body == body
    assert request.headers["content-length"] == str(len(body))
    assert request.headers["content-type"] == "application/octet-stream"
    wait_ready(channel, queue, 0)


def test_a_message_without_an_id_gets_one_that_is_its_own(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, *"123")
    consumers.deliver(queue, target.url())
    target.wait_for(3)
    assert len(target.ids()) == 3
    assert "" not in target.ids()


def test_several_consumers_of_one_queue_share_its_messages(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    consumers.deliver(queue, target.url("/one"), key="one", prefetch=1)
    consumers.deliver(queue, target.url("/two"), key="two", prefetch=1)
    publish(channel, queue, *map(str, range(40)))
    requests = target.wait_for(40)
    assert {request.path for request in requests} == {"/one", "/two"}
    assert len(set(target.ids())) == 40


def test_never_more_messages_are_in_flight_than_the_prefetch(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, *map(str, range(20)))
    consumers.deliver(queue, target.url("/hold"), prefetch=7)
    for batch in (7, 14):
        target.wait_for(batch)
        wait_until(lambda: (report := consumers.report(queue)) and report.in_flight == 7)
        assert (target.held, ready(channel, queue)) == (7, 20 - batch)
        target.release()
    target.wait_for(20)
    assert target.held == 6
    target.release()
    wait_until(lambda: (report := consumers.report(queue)) and report.delivered == 20)

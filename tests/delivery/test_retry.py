"""Failures that may pass: tried again on schedule, as the same message, by way of the delay levels in the broker."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from gateway.amqp.topology import level_name
from tests.delivery.running import ONE_SECOND, Consumers
from tests.support.amqp import publish, ready, wait_ready
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.target import Target

pytestmark = pytest.mark.versions


def test_a_failing_message_is_delivered_once_an_attempt_on_schedule_under_one_id(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, b"body", message_id="m-1", content_type="text/plain")
    consumers.deliver(queue, target.url("/status/500?times=2"), retry={"schedule": (1, 2), "jitter": 0})
    requests = target.wait_for(3)
    assert [request.headers["x-delivery-attempt"] for request in requests] == ["1", "2", "3"]
    assert {request.id for request in requests} == {"m-1"}
    assert {(request.body, request.headers["content-type"]) for request in requests} == {(b"body", "text/plain")}
    assert requests[1].when - requests[0].when >= 1
    assert requests[2].when - requests[1].when >= 2
    report = wait_until(lambda: (one := consumers.report(queue)) and one.delivered == 1 and one)
    assert (report.retried, report.dead_lettered, report.in_flight) == (2, 0, 0)
    consumers.end(5)
    assert ready(channel, queue) == ready(channel, f"{queue}.dlq") == 0
    assert target.count == 3


def test_a_message_without_an_id_keeps_the_one_it_was_given(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, b"body")
    consumers.deliver(queue, target.url("/status/503?times=1"), retry=ONE_SECOND)
    first, second = target.wait_for(2)
    assert first.id == second.id != ""


@pytest.mark.parametrize("status", [408, 599])
def test_statuses_that_may_pass_are_tried_again(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, status: int
) -> None:
    publish(channel, queue, b"body")
    consumers.deliver(queue, target.url(f"/status/{status}"), retry={"schedule": (3600,), "jitter": 0})
    wait_until(lambda: (one := consumers.report(queue)) and one.retried == 1)
    wait_ready(channel, level_name(11), 1)  # 3,600 s are rounded up to 3,840, of which 2,048 come first
    assert ready(channel, queue) == 0


def test_no_retry_is_earlier_than_the_target_asks_for(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, b"body", message_id="m-1")
    consumers.deliver(queue, target.url("/retry-after?seconds=3&status=500&times=1"), retry=ONE_SECOND)
    first, second = target.wait_for(2, timeout=20)
    assert second.when - first.when >= 3


@pytest.mark.parametrize("as_date", [False, True], ids=["seconds", "date"])
def test_a_target_may_ask_for_most_of_a_day(
    consumers: Consumers,
    channel: BlockingChannel,
    queue: str,
    target: Target,
    as_date: bool,
) -> None:
    hours = 23  # libcurl's own reading ends at six
    asked = formatdate(time.time() + hours * 3600, usegmt=True).replace(" ", "%20") if as_date else str(hours * 3600)
    publish(channel, queue, b"body")
    consumers.deliver(queue, target.url(f"/retry-after?seconds={asked}&status=500"), retry=ONE_SECOND)
    wait_until(lambda: (one := consumers.report(queue)) and one.retried)
    wait_ready(channel, level_name(16), 1)


def test_a_message_passes_the_delay_levels_of_its_delay_alone_and_is_never_early(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, b"body", message_id="m-1")
    consumers.deliver(queue, target.url("/status/500?times=1"), retry={"schedule": (5,), "jitter": 0})
    wait_until(lambda: (one := consumers.report(queue)) and one.retried)
    wait_ready(channel, level_name(2), 1)
    wait_ready(channel, level_name(0), 1)
    assert ready(channel, level_name(1)) == 0
    first, second = target.wait_for(2)
    assert second.when - first.when >= 5


def test_a_retry_comes_back_to_its_own_queue_alone(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    channel.exchange_declare(f"{queue}-x", "fanout")
    for name in (queue, f"{queue}-2"):
        channel.queue_declare(name, durable=True)
        channel.queue_bind(name, f"{queue}-x")
    channel.basic_publish(f"{queue}-x", "key", b"body")
    consumers.deliver(queue, target.url("/status/500?times=1"), retry=ONE_SECOND)
    target.wait_for(2)
    wait_until(lambda: (one := consumers.report(queue)) and one.delivered == 1)
    assert ready(channel, f"{queue}-2") == 1
    assert target.count == 2


def test_a_retry_that_waits_survives_a_kill_of_the_broker(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, broker: BrokerNode
) -> None:
    consumers.deliver(queue, target.url("/status/500?times=1"), retry={"schedule": (3,), "jitter": 0})
    publish(channel, queue, b"body", message_id="m-0")
    target.wait_for(2)  # RabbitMQ 3.10 forgets a quorum queue that is younger than a second when it is killed
    publish(channel, queue, b"body", message_id="m-1", delivery_mode=2)
    wait_until(lambda: (one := consumers.report(queue)) and one.retried == 2)
    broker.kill()
    broker.start()
    wait_until(lambda: "2" in {one.headers["x-delivery-attempt"] for one in target.requests if one.id == "m-1"}, 40)
    requests = target.requests
    attempts = [request.headers["x-delivery-attempt"] for request in requests if request.id == "m-1"]
    assert attempts in (["1", "2"], ["1", "1", "2"])  # where the broker had not written down the ack, it comes again


def test_a_retry_for_a_queue_that_is_deleted_is_kept_where_it_can_be_seen(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, b"body", message_id="m-1")
    consumers.deliver(queue, target.url("/status/500"), retry={"schedule": (3,), "jitter": 0})
    wait_until(lambda: (one := consumers.report(queue)) and one.retried == 1)
    consumers.remove(queue)
    wait_until(lambda: consumers.report(queue) is None)
    channel.queue_delete(queue)
    wait_ready(channel, "workerrmq.orphans", 1)

"""Answers that mean misconfiguration: the message goes back uncharged, the consumer rests and is then suspended."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from domain.registry import QueueFacts
from tests.delivery.running import Consumers
from tests.support.amqp import publish, ready, wait_ready
from tests.support.processes import wait_until
from tests.support.target import Target


@pytest.mark.parametrize("status", [302, 404])
def test_ten_in_a_row_suspend_the_consumer_and_no_message_is_lost_or_charged(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, status: int
) -> None:
    publish(channel, queue, *map(str, range(12)))
    consumers.deliver(queue, target.url("/hold"), prefetch=12)
    wait_until(lambda: target.held == 12)
    target.release(status)
    report = consumers.wait(queue, "suspended")
    assert str(status) in (report.reason or "")
    wait_ready(channel, queue, 12)
    assert ready(channel, f"{queue}.dlq") == 0
    assert target.count == 12
    consumers.deliver(queue, target.url("/ok"))  # a changed one has another try
    requests = target.wait_for(24)[12:]
    assert {request.headers["x-delivery-attempt"] for request in requests} == {"1"}
    wait_until(lambda: (one := consumers.report(queue)) and (one.delivered, one.in_flight) == (12, 0))


@pytest.mark.broker_independent
def test_a_consumer_rests_between_two_of_them_and_goes_on_by_itself(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    target.answer = 404
    publish(channel, queue, b"body")
    consumers.run(queue, target.url())
    consumers.wait(queue, "resting")
    target.answer = 200
    consumers.wait(queue, "running")
    report = wait_until(lambda: (one := consumers.report(queue)) and one.delivered and one)
    assert report.requeued == target.count - 1 >= 1
    times = [request.when for request in target.requests]
    assert all(later - earlier >= 0.5 for earlier, later in pairwise(times))


@pytest.mark.broker_independent
def test_gone_suspends_at_once(consumers: Consumers, channel: BlockingChannel, queue: str, target: Target) -> None:
    publish(channel, queue, *"123")
    consumers.run(queue, target.url("/status/410"), prefetch=1)
    consumers.wait(queue, "suspended")
    wait_ready(channel, queue, 3)
    assert target.count == 1


@pytest.mark.broker_independent
@pytest.mark.parametrize("status", [302, 307])
def test_redirects_are_never_followed(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, status: int
) -> None:
    publish(channel, queue, b"body")
    consumers.run(queue, target.url(f"/redirect?to={target.url('/elsewhere')}&status={status}"))
    consumers.wait(queue, "resting")
    consumers.end()
    assert {request.path for request in target.requests} == {"/redirect"}
    assert ready(channel, queue) == 1


@pytest.mark.broker_independent
def test_a_suspended_consumer_does_not_keep_the_others_from_theirs(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    other = f"{queue}-other"
    channel.queue_declare(other, durable=True)
    publish(channel, queue, b"body")
    consumers.run(queue, target.url("/status/410"))
    consumers.wait(queue, "suspended")
    consumers.deliver(other, target.url())
    publish(channel, other, b"body")
    wait_until(lambda: (one := consumers.report(other)) and one.delivered == 1)


def test_a_quorum_queue_that_drops_what_comes_back_often_drops_nothing_that_goes_back(
    consumers: Consumers, channel: BlockingChannel, unique_name: str, target: Target
) -> None:
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": 3}
    channel.queue_declare(unique_name, durable=True, arguments=arguments)
    publish(channel, unique_name, *map(str, range(12)), expiration="600000")
    facts = QueueFacts("quorum", delivery_limit=3)
    for round_ in range(1, 7):
        consumers.deliver(unique_name, target.url("/hold"), prefetch=12, facts=facts)
        wait_until(lambda: target.held == 12)
        target.release(404)
        consumers.wait(unique_name, "suspended", revision=round_)
        wait_ready(channel, unique_name, 12)
    consumers.deliver(unique_name, target.url("/ok"), facts=facts, payload="envelope")
    requests = target.wait_for(6 * 12 + 12)[6 * 12 :]
    envelopes = [json.loads(request.body) for request in requests]
    assert sorted(int(one["body"]) for one in envelopes) == list(range(12))
    assert {(one["attempt"], one["routingKey"], one["properties"]["expiration"]) for one in envelopes} == {
        (1, unique_name, "600000")
    }

"""The circuit breaker: a target that is down burns no attempts, and hears of one message at a time."""

from __future__ import annotations

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.delivery.running import Consumers
from tests.support.amqp import publish, ready
from tests.support.processes import wait_until
from tests.support.target import Target

SOON = {"schedule": (1, 1, 1), "jitter": 0}
BREAKER = {"failures": 5, "openSeconds": 1}


def test_a_target_that_is_down_for_a_while_costs_no_message_and_little_traffic(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, *(str(n) for n in range(200)))
    target.answer = 503
    consumers.run(queue, target.url(), breaker=BREAKER, retry=SOON, prefetch=10)
    consumers.wait(queue, "breaker-open", "probing")
    at_opening = target.count
    wait_until(lambda: target.count >= at_opening + 3, 20, "three probes")
    assert target.count <= at_opening + 10 + 3  # what was in flight when it opened, and the probes
    assert ready(channel, f"{queue}.dlq") == 0
    target.answer = 200
    wait_until(lambda: sum(target.delivered().values()) == 200, 20)
    consumers.wait(queue, "running", "failing")
    assert ready(channel, f"{queue}.dlq") == 0


@pytest.mark.broker_independent
def test_no_message_is_given_up_for_trying_a_target_that_is_down(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    target.answer = 503
    publish(channel, queue, *"123")
    consumers.run(queue, target.url(), breaker={"failures": 3, "openSeconds": 1}, retry={"schedule": (1,), "jitter": 0})
    target.wait_for(3 + 4, 30)  # two for each is what the schedule allows, and one more
    target.answer = 200
    wait_until(lambda: len(target.delivered()) == 3, 20)
    assert ready(channel, f"{queue}.dlq") == 0


def test_an_open_breaker_leaves_messages_ready_in_their_queue(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, *(str(n) for n in range(30)))
    target.answer = 500
    consumers.run(queue, target.url(), breaker={"failures": 5, "openSeconds": 600}, retry=SOON, prefetch=5)
    report = consumers.wait(queue, "breaker-open")
    assert target.base in (report.reason or "")
    wait_until(lambda: ready(channel, queue) >= 25)


@pytest.mark.broker_independent
def test_consumers_of_other_targets_do_not_notice(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    other = f"{queue}-other"
    channel.queue_declare(other, durable=True)
    publish(channel, queue, *(str(n) for n in range(10)))
    with Target() as healthy:
        consumers.run(queue, target.url("/reset"), breaker={"failures": 5, "openSeconds": 600}, retry=SOON)
        consumers.wait(queue, "breaker-open")
        consumers.run(other, healthy.url(), breaker={"failures": 5, "openSeconds": 600})
        publish(channel, other, *(str(n) for n in range(10)))
        wait_until(lambda: sum(healthy.delivered().values()) == 10)
    channel.queue_delete(other)


@pytest.mark.broker_independent
@pytest.mark.parametrize("status", [404, 422])
def test_answers_that_say_nothing_against_the_targets_health_do_not_open_it(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, status: int
) -> None:
    publish(channel, queue, *(str(n) for n in range(20)))
    target.answer = status
    consumers.run(queue, target.url(), breaker=BREAKER, retry={"schedule": ()})
    wait_until(lambda: target.count >= 10)
    consumers.wait(queue, "failing", "suspended", "resting")


@pytest.mark.broker_independent
def test_a_changed_url_takes_messages_at_once_though_the_old_targets_breaker_is_open(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, *(str(n) for n in range(30)))
    slow_to_close = {"failures": 5, "openSeconds": 600}
    consumers.run(queue, target.url("/status/500"), breaker=slow_to_close, retry=SOON, prefetch=5)
    consumers.wait(queue, "breaker-open")
    with Target() as healthy:
        consumers.run(queue, healthy.url(), breaker=slow_to_close, retry=SOON)
        wait_until(lambda: sum(healthy.delivered().values()) == 30, 20)

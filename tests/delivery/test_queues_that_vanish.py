"""Queues that RabbitMQ deletes, with their messages, when nobody consumes: a consumer that rests must not cause it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from delivery.periods import Periods
from domain.registry import UNKNOWN_QUEUE, QueueFacts
from tests.delivery.running import AT_ONCE, Consumers
from tests.support.amqp import declare_until_consumed, publish, ready, take
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.target import Target

pytestmark = pytest.mark.versions

EXPIRES = QueueFacts(expires=True)
AUTO_DELETE = QueueFacts(auto_delete=True)


@pytest.mark.parametrize(
    ("answer", "state"), [(404, "resting"), (500, "breaker-open"), (429, "throttled")], ids=["rest", "breaker", "429"]
)
def test_an_expiring_queue_outlives_several_leases_while_its_consumer_sends_nothing(
    make_consumers: Callable[..., Consumers],
    channel: BlockingChannel,
    unique_name: str,
    target: Target,
    answer: int,
    state: str,
) -> None:
    consumers = make_consumers(periods=Periods(held=0.9))
    breaker = {"failures": 1, "openSeconds": 7}
    consumers.run(unique_name, target.url(), facts=EXPIRES, breaker=breaker, prefetch=1)
    declare_until_consumed(channel, unique_name, {"x-expires": 1500})
    target.answer = lambda request: answer if request.when < target.requests[0].when + 6 else 200
    publish(channel, unique_name, *map(str, range(20)))
    consumers.wait(unique_name, state)
    wait_until(lambda: (one := consumers.report(unique_name)) and one.delivered + one.retried >= 20, 30)
    wait_until(lambda: sum(target.delivered().values()) == 20, 20)


@pytest.mark.parametrize("facts", [AUTO_DELETE, QueueFacts(exclusive=True), QueueFacts(type="stream")])
def test_a_consumer_of_an_unfit_queue_is_suspended_with_the_reason(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, facts: QueueFacts
) -> None:
    publish(channel, queue, b"body")
    consumers.run(queue, target.url(), facts=facts)
    report = consumers.wait(queue, "suspended")
    assert report.reason == facts.unfit
    assert ready(channel, queue) == 1
    consumers.run(queue, target.url())  # the queue has been made again, as another
    target.wait_for(1)


def test_a_queue_that_turns_out_to_be_auto_delete_is_not_left(
    consumers: Consumers, channel: BlockingChannel, unique_name: str, target: Target
) -> None:
    channel.queue_declare(unique_name, durable=True, auto_delete=True)
    consumers.deliver(unique_name, target.url("/status/500"), retry=AT_ONCE, breaker={"failures": 1})
    consumers.run(unique_name, target.url("/status/500"), facts=AUTO_DELETE, retry=AT_ONCE, breaker={"failures": 1})
    publish(channel, unique_name, *"12345")
    consumers.wait(unique_name, "breaker-open")
    declared = channel.queue_declare(unique_name, passive=True).method
    assert declared.consumer_count == 1
    consumers.run(unique_name, target.url("/ok"), facts=AUTO_DELETE, retry=AT_ONCE)
    wait_until(lambda: len({request.body for request in target.requests}) == 5)


def test_a_queue_that_the_broker_has_not_described_yet_is_not_consumed_from(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, broker: BrokerNode
) -> None:
    publish(channel, queue, b"body")
    consumers.run(queue, target.url(), facts=UNKNOWN_QUEUE)
    wait_until(lambda: (one := consumers.report(queue)) and "not described" in (one.reason or ""))
    assert channel.queue_declare(queue, passive=True).method.consumer_count == 0
    assert target.count == 0
    consumers.run(queue, target.url())
    target.wait_for(1)


def test_messages_that_come_after_a_cancel_do_not_use_up_the_delivery_limit(
    consumers: Consumers, channel: BlockingChannel, unique_name: str, target: Target
) -> None:
    """A consumer that is renewed again and again gives back what has just arrived; the broker counts each time."""
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": 3}
    channel.queue_declare(unique_name, durable=True, arguments=arguments)
    facts = QueueFacts(type="quorum", delivery_limit=3)
    publish(channel, unique_name, *map(str, range(300)), delivery_mode=2)
    rate = {"perSecond": 1, "burst": 1}
    for round_ in range(12):
        consumers.run(unique_name, target.url("/ok"), facts=facts, prefetch=100 + round_, rate_limit=rate)
        wait_until(lambda: (one := consumers.report(unique_name)) and one.state == "running" and one.in_flight > 50)
    consumers.run(unique_name, target.url("/ok"), facts=facts)
    wait_until(lambda: len({request.body for request in target.requests}) == 300, 30)


@pytest.mark.parametrize("status", [404, 500, 429])
def test_an_ordered_consumer_that_waits_for_its_target_gives_nothing_back(
    make_consumers: Callable[..., Consumers], channel: BlockingChannel, unique_name: str, target: Target, status: int
) -> None:
    consumers = make_consumers(periods=Periods(longest_pause=1.0))
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": 1}
    channel.queue_declare(unique_name, durable=True, arguments=arguments)
    facts = QueueFacts(type="quorum", delivery_limit=1)
    target.answer = lambda request: status if len(target.requests) < 6 else 200
    publish(channel, unique_name, *map(str, range(5)), delivery_mode=2)
    consumers.deliver(
        unique_name,
        target.url(),
        facts=facts,
        ordering="queue",
        retry={"schedule": (1,) * 20, "jitter": 0},
        breaker={"failures": 2, "openSeconds": 1},
    )
    wait_until(lambda: (one := consumers.report(unique_name)) and one.delivered == 5, 40)
    delivered = [request.body for request in target.requests][-5:]
    assert delivered == [b"0", b"1", b"2", b"3", b"4"]


def test_an_ordered_message_that_its_queue_would_drop_goes_to_the_end_instead(
    make_consumers: Callable[..., Consumers], channel: BlockingChannel, unique_name: str, target: Target
) -> None:
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": 2}
    channel.queue_declare(unique_name, durable=True, arguments=arguments)
    facts = QueueFacts(type="quorum", delivery_limit=2)
    consumers = make_consumers(periods=Periods(held=0.4))  # so the channel is renewed, which the broker counts
    publish(channel, unique_name, b"body", message_id="m-1", delivery_mode=2)
    target.answer = lambda request: 500 if len(target.requests) < 2 else 200
    consumers.deliver(unique_name, target.url(), facts=facts, ordering="queue", retry={"schedule": (4,), "jitter": 0})
    target.wait_for(2, timeout=20)
    wait_until(lambda: (one := consumers.report(unique_name)) and one.delivered == 1)


@pytest.mark.parametrize("ordering", ["none", "queue"])
def test_a_message_whose_copy_is_refused_for_long_goes_back_before_the_broker_takes_it(
    make_consumers: Callable[..., Consumers],
    channel: BlockingChannel,
    queue: str,
    target: Target,
    ordering: str,
) -> None:
    full = f"{queue}.dlq"
    channel.queue_declare(full, durable=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    publish(channel, full, b"filler")
    consumers = make_consumers(periods=Periods(held=0.5))
    publish(channel, queue, b"body", message_id="m-1")
    consumers.deliver(queue, target.url("/status/422"), ordering=ordering)
    target.wait_for(3)  # given back and delivered again, several times
    report = wait_until(lambda: (one := consumers.report(queue)) and one.refused_copies and one)
    assert f"queue {full!r} is full" in (report.copy_error or "")
    channel.queue_purge(full)
    (letter,) = take(channel, full, 1)
    assert letter.properties.message_id == "m-1"
    wait_until(lambda: (one := consumers.report(queue)) and (one.refused_copies, one.in_flight) == (0, 0))

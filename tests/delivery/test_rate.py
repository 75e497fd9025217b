"""The rate limit of a consumer, whatever its prefetch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from delivery.periods import Periods
from domain.registry import QueueFacts
from tests.delivery.running import Consumers
from tests.support.amqp import publish, ready
from tests.support.processes import wait_until
from tests.support.rabbitmq import RabbitNode
from tests.support.target import Target


def test_no_more_than_the_rate_allows_goes_out_and_a_change_holds_at_once(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, *(str(n) for n in range(40)))
    consumers.deliver(queue, target.url(), rate_limit={"perSecond": 5, "burst": 3})
    first = target.wait_for(10, 20)[:10]
    # After the burst of three, seven more at five a second take 1.4 s at least; a turn of the loop may bunch two.
    assert first[-1].when - first[0].when >= 1.2
    consumers.run(queue, target.url(), rate_limit={"perSecond": 10_000, "burst": 100})
    wait_until(lambda: sum(target.delivered().values()) == 40, 20)
    assert max(target.delivered().values()) == 1


def test_messages_that_wait_for_the_rate_limit_return_to_the_queue_when_the_consumer_stops(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, *(str(n) for n in range(20)))
    consumers.deliver(queue, target.url(), rate_limit={"perSecond": 0.01, "burst": 2})
    target.wait_for(2)
    consumers.end(5)
    assert ready(channel, queue) == 18
    assert target.count == 2


@pytest.mark.broker_independent
@pytest.mark.parametrize("ordering", ["none", "queue"])
@pytest.mark.parametrize("limit", [None, {"perSecond": 10_000, "burst": 100}])
def test_waiting_messages_are_sent_when_the_rate_limit_is_raised_or_removed(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, limit: object, ordering: str
) -> None:
    publish(channel, queue, *"123")
    consumers.deliver(queue, target.url("/ok/before"), ordering=ordering, rate_limit={"perSecond": 0.01, "burst": 1})
    target.wait_for(1)
    consumers.run(queue, target.url("/ok/after"), ordering=ordering, rate_limit=limit)
    assert [one.path for one in target.wait_for(3)] == ["/ok/before", "/ok/after", "/ok/after"]


def test_messages_that_wait_for_their_turn_go_back_in_time_and_use_up_no_delivery_limit(
    make_consumers: Callable[..., Consumers], channel: BlockingChannel, unique_name: str, target: Target
) -> None:
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": 2}
    channel.queue_declare(unique_name, durable=True, arguments=arguments)
    consumers = make_consumers(periods=Periods(held=0.6))
    publish(channel, unique_name, *map(str, range(8)), delivery_mode=2)
    facts = QueueFacts(type="quorum", delivery_limit=2)
    consumers.deliver(unique_name, target.url(), facts=facts, rate_limit={"perSecond": 1.5, "burst": 1})
    wait_until(lambda: (one := consumers.report(unique_name)) and one.delivered == 8, 30)  # ten periods
    assert {request.body for request in target.requests} == {str(number).encode() for number in range(8)}
    assert target.count == 8


def test_a_slow_rate_does_not_meet_the_brokers_consumer_timeout(
    rabbitmq: RabbitNode, unique_name: str, target: Target
) -> None:
    rabbitmq.set_consumer_timeout(3)
    before = len(rabbitmq.process.output())
    consumers = Consumers(rabbitmq.amqp_url, periods=Periods(held=1.5))
    try:
        with rabbitmq.connect() as connection:
            channel = connection.channel()
            channel.queue_declare(unique_name, durable=True)
            publish(channel, unique_name, *map(str, range(9)))
        consumers.deliver(unique_name, target.url(), rate_limit={"perSecond": 1, "burst": 1})
        wait_until(lambda: (one := consumers.report(unique_name)) and one.delivered == 9, 30)
        assert target.count == 9
        assert "timed out" not in rabbitmq.process.output()[before:]
    finally:
        consumers.end()
        rabbitmq.set_consumer_timeout(None)

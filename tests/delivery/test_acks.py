"""Acks: none before its time, none held up by a slow neighbour, and few of them."""

from __future__ import annotations

from collections.abc import Callable

from pika.adapters.blocking_connection import BlockingChannel

from delivery.copies import Source
from gateway.consuming.session import Delivery, Session
from gateway.loop import Loop
from tests.delivery.frames import ACK, FrameCounter
from tests.delivery.running import Consumers
from tests.support.amqp import publish, ready, wait_ready
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.target import Target


def unacked(broker: BrokerNode, queue: str) -> int:
    """How many messages the broker counts as delivered and not acked."""
    return int(broker.management.get("queues", "/", queue).json().get("messages_unacknowledged", -1))


def test_a_slow_delivery_does_not_hold_up_the_acks_of_the_others(
    consumers: Consumers, channel: BlockingChannel, queue: str, broker: BrokerNode, target: Target
) -> None:
    publish(channel, queue, b"slow", *map(str, range(100)))
    consumers.deliver(queue, target.url("/hold"), prefetch=1)
    wait_until(lambda: target.held == 1)
    consumers.deliver(queue, target.url("/ok"), prefetch=10)
    target.wait_for(101)
    wait_until(lambda: unacked(broker, queue) == 1, 20)
    consumers.end()
    assert ready(channel, queue) == 1, "the slow one alone went back"


def test_nothing_is_acked_before_the_target_has_answered(
    consumers: Consumers, channel: BlockingChannel, queue: str, broker: BrokerNode, target: Target
) -> None:
    publish(channel, queue, *map(str, range(10)))
    consumers.deliver(queue, target.url("/hold"))
    wait_until(lambda: target.held == 10)
    wait_until(lambda: unacked(broker, queue) == 10, 20)
    consumers.end()
    wait_ready(channel, queue, 10)


def test_messages_of_several_waves_are_acked_without_an_unknown_tag(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    """Successes, failures and messages that go back, mixed: a tag acked twice would close the channel (406)."""
    target.answer = lambda request: (200, 422, 200, 500)[int(request.body) % 4]
    publish(channel, queue, *map(str, range(400)))
    retry = {"schedule": (), "jitter": 0}
    consumers.deliver(queue, target.url(), prefetch=50, retry=retry, breaker={"failures": 10_000})
    report = wait_until(lambda: (one := consumers.report(queue)) and (one.in_flight, one.delivered) == (0, 200) and one)
    assert report.dead_lettered == 200
    assert target.count == 400, "a closed channel would have brought some again"
    assert ready(channel, queue) == 0


def test_ten_thousand_messages_need_far_fewer_acks(
    make_consumers: Callable[..., Consumers],
    channel: BlockingChannel,
    queue: str,
    broker: BrokerNode,
    counted_url: str,
    counter: FrameCounter,
) -> None:
    consumers = make_consumers(counted_url)
    with Target(record=False) as target, broker.connect() as other:
        unconfirmed = other.channel()
        publish(unconfirmed, queue, *[b"x"] * 10_000)
        wait_ready(channel, queue, 10_000, 60)
        consumers.deliver(queue, target.url(), prefetch=500)
        wait_until(lambda: (one := consumers.report(queue)) and one.delivered == 10_000, 60)
        consumers.end(5)
        assert ready(channel, queue) == 0
    assert 0 < counter.sent[ACK] < 5_000


def test_a_delivery_that_is_settled_twice_does_not_close_its_channel(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, *"abc")
    session = Session(Loop(), channel, 4, lambda: None)
    for _ in "abc":
        method, properties, body = channel.basic_get(queue)
        Delivery(session, method.delivery_tag, Source(queue, "", queue, properties, body, "m"), 1, 0.0)
    for _ in range(2):
        session.finish(3)
        session.finish(1)
        session.give_back(2)
        session.flush()
    wait_ready(channel, queue, 1)

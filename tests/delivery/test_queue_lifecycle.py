"""Queues that are not there yet, or no more: seen in the report, looked for with patience, taken up when they come."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.delivery.frames import CHANNEL_OPEN, FrameCounter
from tests.delivery.running import AT_ONCE, Consumers
from tests.support.amqp import publish, ready
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.target import Target

pytestmark = pytest.mark.versions


def test_a_consumer_of_a_missing_queue_waits_and_runs_once_it_is_created(
    consumers: Consumers, channel: BlockingChannel, unique_name: str, target: Target
) -> None:
    consumers.run(unique_name, target.url())
    report = consumers.wait(unique_name, "waiting")
    report = wait_until(lambda: (one := consumers.report(unique_name)) and "NOT_FOUND" in (one.reason or "") and one)
    assert unique_name in (report.reason or "")
    channel.queue_declare(unique_name, durable=True)
    publish(channel, unique_name, b"body")
    consumers.wait(unique_name, "running")
    target.wait_for(1)


def test_a_queue_deleted_under_its_consumer_is_seen_and_taken_up_again_when_it_is_back(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    consumers.deliver(queue, target.url())
    channel.queue_delete(queue)
    report = consumers.wait(queue, "waiting")
    assert report.reason
    channel.queue_declare(queue, durable=True)
    publish(channel, queue, b"body")
    consumers.wait(queue, "running")
    target.wait_for(1)


def test_a_missing_queue_is_not_looked_for_in_a_tight_loop_and_delays_no_other_consumer(
    make_consumers: Callable[..., Consumers],
    channel: BlockingChannel,
    queue: str,
    counted_url: str,
    counter: FrameCounter,
    target: Target,
) -> None:
    consumers = make_consumers(counted_url)
    consumers.run(f"{queue}-missing", target.url(), retry=AT_ONCE)
    consumers.deliver(queue, target.url("/slow?seconds=0.5"), prefetch=1, retry=AT_ONCE)
    before = counter.sent[CHANNEL_OPEN]
    publish(channel, queue, *"12345678")
    target.wait_for(8)
    assert counter.sent[CHANNEL_OPEN] - before < 20, "every look at a missing queue costs a channel"


def test_messages_in_flight_of_a_deleted_queue_do_not_affect_other_consumers(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, *"123")
    consumers.deliver(queue, target.url("/hold"))
    wait_until(lambda: target.held == 3)
    channel.queue_delete(queue)
    consumers.wait(queue, "waiting")
    target.release(404)
    channel.queue_declare(queue, durable=True)
    publish(channel, queue, b"body")
    wait_until(lambda: target.held == 1)
    target.release(200)
    wait_until(lambda: (one := consumers.report(queue)) and one.delivered == 1)
    assert ready(channel, queue) == 0


def test_an_exclusive_consumer_of_somebody_else_is_waited_for(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    tag = channel.basic_consume(queue, lambda *_: None, exclusive=True)
    consumers.run(queue, target.url())
    report = wait_until(lambda: (one := consumers.report(queue)) and "ACCESS_REFUSED" in (one.reason or "") and one)
    assert report.state == "waiting"
    channel.basic_cancel(tag)
    consumers.wait(queue, "running")
    publish(channel, queue, b"body")
    target.wait_for(1)


def test_a_consumer_that_finds_no_channel_says_so_and_runs_once_there_is_one(
    broker: BrokerNode,
    make_consumers: Callable[..., Consumers],
    channel: BlockingChannel,
    unique_name: str,
    target: Target,
) -> None:
    consumers = make_consumers(f"{broker.amqp_url}?channel_max=3")
    names = [f"{unique_name}-{number}" for number in range(5)]
    for name in names:
        channel.queue_declare(name, durable=True)
        consumers.run(name, target.url())

    def found(state: str) -> list[str]:
        """The names of the consumers in that state: which of them gets a channel is the broker's pace."""
        return [name for name in names if (report := consumers.report(name)) and report.state == state]

    wait_until(lambda: (len(found("running")), len(found("waiting"))) == (3, 2), 15)
    running, waiting = found("running"), found("waiting")
    for name in waiting:
        waits = consumers.wait(name, "waiting")
        assert waits.reason == "all 3 channels of the connection are in use; run fewer consumers"
    for name in running:
        consumers.remove(name)
    for name in waiting:
        consumers.wait(name, "running")
    publish(channel, waiting[-1], b"body")
    wait_until(lambda: target.count == 1)

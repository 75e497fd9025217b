"""Stopping: finish what is in flight, hand back the rest uncharged, and be gone by the deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from domain.registry import QueueFacts
from tests.delivery.running import AT_ONCE, ONE_SECOND, Consumers
from tests.support.amqp import publish, ready, take, wait_ready
from tests.support.processes import wait_until
from tests.support.proxy import Proxy
from tests.support.target import Target


def test_stopping_waits_for_what_is_in_flight_and_takes_nothing_new(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, *map(str, range(10)))
    consumers.deliver(queue, target.url("/hold"), prefetch=4)
    wait_until(lambda: target.held == 4)
    consumers.thread.stop(30)
    wait_until(lambda: channel.queue_declare(queue, passive=True).method.consumer_count == 0)
    target.release(200)
    assert consumers.thread.join(20), "it does not wait for its deadline when all is done"
    wait_ready(channel, queue, 6)
    assert target.count == 4


def test_deliveries_that_exceed_the_drain_timeout_return_to_the_queue_uncharged(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, b"retried", message_id="m-1")
    consumers.deliver(queue, target.url("/status/500?times=1"), retry=ONE_SECOND)
    target.wait_for(2)
    consumers.run(queue, target.url("/hang"))
    consumers.wait(queue, "running", "failing", revision=2)
    publish(channel, queue, b"hanging", message_id="m-2")
    target.wait_for(3)
    before = time.monotonic()
    consumers.thread.stop(1)
    assert consumers.thread.join(15)
    assert time.monotonic() - before >= 1
    (message,) = take(channel, queue, 1)
    assert (message.properties.message_id, message.headers, message.redelivered) == ("m-2", {}, True)
    assert ready(channel, f"{queue}.dlq") == 0


def test_a_message_that_fails_while_stopping_still_reaches_the_delay_levels(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, *"123")
    consumers.deliver(queue, target.url("/hold"), retry=AT_ONCE)
    wait_until(lambda: target.held == 3)
    consumers.thread.stop(30)
    target.release(500)
    assert consumers.thread.join(20)
    assert ready(channel, f"{queue}.dlq") == 3
    assert ready(channel, queue) == 0


def test_stopping_takes_its_deadline_and_no_longer_when_the_broker_does_not_answer(
    make_consumers: Callable[..., Consumers],
    channel: BlockingChannel,
    queue: str,
    between: Proxy,
    proxied_url: str,
    target: Target,
) -> None:
    consumers = make_consumers(proxied_url)
    consumers.deliver(queue, target.url())
    between.stall()
    consumers.thread.stop(1)
    assert consumers.thread.join(20)


def test_a_thread_without_a_broker_stops_at_once(make_consumers: Callable[..., Consumers], target: Target) -> None:
    consumers = make_consumers("amqp://guest:guest@127.0.0.1:1/")
    consumers.run("orders", target.url())
    consumers.wait("orders", "waiting")
    consumers.thread.stop(600)
    assert consumers.thread.join(20)


def test_another_thread_delivers_the_messages_that_a_stopped_thread_returned(
    make_consumers: Callable[..., Consumers], channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, *map(str, range(50)))
    first, second = make_consumers(), make_consumers()
    first.deliver(queue, target.url("/hang"), prefetch=20)
    target.wait_for(20)
    first.end()
    second.deliver(queue, target.url("/ok"))
    wait_until(lambda: len(target.delivered()) == 50)
    assert {request.headers["x-delivery-attempt"] for request in target.requests} == {"1"}


@pytest.mark.parametrize("limit", [1, 4])
def test_workers_that_stop_at_their_deadline_do_not_use_up_the_delivery_limit(
    make_consumers: Callable[..., Consumers],
    channel: BlockingChannel,
    unique_name: str,
    target: Target,
    limit: int,
) -> None:
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": limit}
    channel.queue_declare(unique_name, durable=True, arguments=arguments)
    publish(channel, unique_name, *map(str, range(5)))
    facts = QueueFacts(type="quorum", delivery_limit=limit)
    for stop in range(1, limit + 4):
        consumers = make_consumers()
        consumers.deliver(unique_name, target.url("/hang"), facts=facts)
        target.wait_for(5 * stop)
        consumers.thread.stop(0.2)
        assert consumers.thread.join(15)
    wait_ready(channel, unique_name, 5)
    last = make_consumers()
    last.deliver(unique_name, target.url("/ok"), facts=facts)
    wait_until(lambda: len(target.delivered()) == 5)
    assert {request.headers["x-delivery-attempt"] for request in target.requests} == {"1"}


def test_a_worker_that_stops_at_its_deadline_keeps_the_order_of_messages_that_bear_a_return(
    make_consumers: Callable[..., Consumers], channel: BlockingChannel, unique_name: str, target: Target
) -> None:
    channel.queue_declare(unique_name, durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": 1})
    facts = QueueFacts(type="quorum", delivery_limit=1)
    publish(channel, unique_name, *map(str, range(5)))
    first = make_consumers()
    first.deliver(unique_name, target.url("/hang"), facts=facts, ordering="queue", prefetch=2)
    target.wait_for(1)
    first.thread.stop(0.2)
    assert first.thread.join(15)
    second = make_consumers()
    second.deliver(unique_name, target.url("/ok"), facts=facts, ordering="queue")
    wait_until(lambda: target.count == 6)
    assert [request.body for request in target.requests] == [b"0", b"0", b"1", b"2", b"3", b"4"]

"""An exchange with several queues, one of which is full: the others get each refused copy, so the pauses grow."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from delivery.periods import Periods
from delivery.scheduled import waiting
from domain.filter_pattern import FilterPattern
from domain.message import Message, Properties
from domain.otherwise import Destination, Forward
from domain.registry import QueueFacts
from gateway.amqp.topology import DUE
from tests.delivery.due import takers
from tests.delivery.oracle import left
from tests.delivery.running import AT_ONCE, Consumers
from tests.support.amqp import publish, ready, wait_ready
from tests.support.processes import wait_until
from tests.support.target import Target

pytestmark = pytest.mark.versions

MakeConsumers = Callable[..., Consumers]


class Exchange(NamedTuple):
    """A fanout exchange with a queue that accepts all messages and a queue that is full."""

    name: str
    healthy: str
    full: str


@pytest.fixture
def exchange(channel: BlockingChannel, unique_name: str) -> Exchange:
    one = Exchange(f"{unique_name}-x", f"{unique_name}-healthy", f"{unique_name}-full")
    channel.exchange_declare(one.name, "fanout")
    channel.queue_declare(one.healthy, durable=True)
    channel.queue_declare(one.full, durable=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    publish(channel, one.full, b"filler")
    for name in (one.healthy, one.full):
        channel.queue_bind(name, one.name)
    return one


def dead_lettering(exchange: Exchange) -> dict[str, Any]:
    return {"facts": QueueFacts(dead_letter=(exchange.name, "key")), "retry": AT_ONCE}


def forwarding(exchange: Exchange) -> dict[str, Any]:
    to = Forward(forward=Destination(exchange=exchange.name, routing_key="key"))
    return {"filter": FilterPattern({"body": {"wanted": True}}), "otherwise": to}


@pytest.mark.parametrize("copying", [dead_lettering, forwarding])
@pytest.mark.parametrize("held", [600.0, 1.0], ids=["held", "returned to the queue"])
def test_copies_that_a_full_queue_refuses_fill_the_other_queues_ever_more_slowly(
    make_consumers: MakeConsumers,
    channel: BlockingChannel,
    queue: str,
    exchange: Exchange,
    target: Target,
    copying: Callable[[Exchange], dict[str, Any]],
    held: float,
) -> None:
    consumers = make_consumers(periods=Periods(republish=0.5, longest_republish=2, held=held))
    consumers.deliver(queue, target.url("/status/422"), **copying(exchange))
    began = time.monotonic()
    publish(channel, queue, *"123", delivery_mode=2)
    wait_until(lambda: ready(channel, exchange.healthy) >= 3 + 3, 30)
    assert time.monotonic() - began >= 0.5 + 1 + 2
    report = wait_until(lambda: (one := consumers.report(queue)) and one.refused_copies and one)
    assert f"a queue bound to exchange '{exchange.name}' with routing key 'key' is full" in (report.copy_error or "")

    channel.queue_unbind(exchange.full, exchange.name)
    wait_until(lambda: (one := consumers.report(queue)) and one.dead_lettered + one.filtered == 3, 30)
    consumers.end(5)
    assert ready(channel, queue) == 0


def test_scheduled_messages_that_a_full_queue_refuses_fill_the_other_queues_ever_more_slowly(
    make_consumers: MakeConsumers, channel: BlockingChannel, exchange: Exchange
) -> None:
    make_consumers(periods=Periods(return_again=0.25, republish=1, longest_republish=2))
    wait_until(lambda: takers(channel))
    began = time.monotonic()
    for one in "12345":
        message = waiting(Message("key", b"body", exchange.name, Properties(message_id=one)), time.time() - 1)
        properties = pika.BasicProperties(message_id=one, headers=message.properties.headers, delivery_mode=2)
        channel.basic_publish(DUE, "key", b"body", properties)
    wait_until(lambda: ready(channel, exchange.healthy) >= 3, 30)
    assert time.monotonic() - began >= 1 + 2

    channel.queue_unbind(exchange.full, exchange.name)
    found: set[str] = set()
    wait_until(lambda: found.update(left(channel, exchange.healthy)) or found == set("12345"), 30)


def test_an_exchange_that_has_room_again_gets_what_waits_without_further_pauses(
    make_consumers: MakeConsumers, channel: BlockingChannel, queue: str, exchange: Exchange, target: Target
) -> None:
    consumers = make_consumers(periods=Periods(republish=2, longest_republish=600))
    consumers.deliver(queue, target.url("/status/422"), **dead_lettering(exchange))
    publish(channel, queue, *map(str, range(20)))
    wait_until(lambda: (one := consumers.report(queue)) and one.refused_copies == 20)
    channel.queue_unbind(exchange.full, exchange.name)
    channel.queue_purge(exchange.healthy)
    wait_ready(channel, exchange.healthy, 20, 30)
    wait_until(lambda: (one := consumers.report(queue)) and (one.dead_lettered, one.in_flight) == (20, 0))

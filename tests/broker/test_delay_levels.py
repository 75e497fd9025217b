"""Delay levels: headers exchanges in a chain of alternate exchanges, and quorum queues that dead-letter one level down.

The service delays retries this way (docs/ARCHITECTURE.md). Here a unit is a fraction of a second.
"""

from __future__ import annotations

import time
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.amqp import Message, Subscription, bodies, take, wait_ready
from tests.support.embedded import EmbeddedNode

UNIT = 0.25
TOP = 28
DUE = "delays.due"


def name_of(level: int) -> str:
    return f"delays.{level}"


def declare_levels(channel: BlockingChannel, queues: int, *, unit: float = UNIT, top: int = TOP) -> None:
    """Declare every level's exchange, and the queues of the lowest `queues` levels."""
    channel.exchange_declare(DUE, "direct", durable=True)
    for level in range(top + 1):
        name, below = name_of(level), name_of(level - 1) if level else DUE
        channel.exchange_declare(name, "headers", durable=True, arguments={"alternate-exchange": below})
        if level < queues:
            channel.queue_declare(name, durable=True, arguments=level_arguments(level, below, unit))
            channel.queue_bind(name, name, arguments={"x-match": "all", f"workerrmq-delay-{level}": True})


def level_arguments(level: int, below: str, unit: float) -> dict[str, Any]:
    return {
        "x-queue-type": "quorum", "x-message-ttl": int(2**level * unit * 1000), "x-dead-letter-exchange": below,
        "x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish",
    }  # fmt: skip


def delay(channel: BlockingChannel, queue: str, units: int, body: str = "x", top: int = TOP) -> None:
    bits = {f"workerrmq-delay-{level}": True for level in range(top + 1) if units >> level & 1}
    properties = pika.BasicProperties(headers={"mine": "kept", **bits}, delivery_mode=2, message_id="id")
    channel.basic_publish(name_of(top), queue, body, properties, mandatory=True)


@pytest.fixture
def due(channel: BlockingChannel, unique_name: str) -> str:
    """Declare the quorum queue of delayed messages, bound by its name to the exchange below level 0."""
    channel.confirm_delivery()
    declare_levels(channel, 3)
    channel.queue_declare(unique_name, durable=True, arguments={"x-queue-type": "quorum"})
    channel.queue_bind(unique_name, DUE, unique_name)
    return unique_name


def deaths(message: Message) -> dict[str, Any]:
    return {entry["queue"]: (entry["reason"], entry["count"]) for entry in message.headers["x-death"]}


def test_a_message_waits_at_each_of_its_levels_and_is_never_early(channel: BlockingChannel, due: str) -> None:
    began = time.monotonic()
    delay(channel, due, 7)
    message = take(channel, due, 1, timeout=20)[0]
    assert time.monotonic() - began >= 7 * UNIT
    assert (message.body, message.exchange, message.routing_key) == (b"x", DUE, due)
    assert message.headers["mine"] == "kept"
    assert all(message.headers[f"workerrmq-delay-{level}"] is True for level in range(3))
    assert deaths(message) == {name_of(level): ("expired", 1) for level in range(3)}
    assert message.headers["x-first-death-queue"] == name_of(2)
    assert message.properties.message_id == "id"


@pytest.mark.parametrize("units", [1, 2, 4, 5])
def test_a_message_skips_the_levels_that_it_has_no_bit_of(channel: BlockingChannel, due: str, units: int) -> None:
    began = time.monotonic()
    delay(channel, due, units)
    message = take(channel, due, 1, timeout=20)[0]
    assert time.monotonic() - began >= units * UNIT
    assert set(deaths(message)) == {name_of(level) for level in range(3) if units >> level & 1}


def test_a_message_without_a_bit_passes_all_levels_at_once(channel: BlockingChannel, due: str) -> None:
    delay(channel, due, 0)
    assert "x-death" not in take(channel, due, 1)[0].headers


def test_many_messages_of_many_delays_all_arrive(channel: BlockingChannel, due: str) -> None:
    for number in range(400):
        delay(channel, due, number % 8, str(number))
    messages = take(channel, due, 400, timeout=40)
    assert sorted(bodies(messages), key=int) == [str(number) for number in range(400)]


def test_a_message_passes_a_level_again_if_its_x_death_was_removed(channel: BlockingChannel, due: str) -> None:
    """RabbitMQ drops a message that returns to a queue without a rejection (docs: dlx)."""
    for _ in range(3):
        delay(channel, due, 2)
        assert deaths(take(channel, due, 1, timeout=20)[0]) == {name_of(1): ("expired", 1)}


def test_the_highest_level_accepts_its_time_to_live(channel: BlockingChannel, unique_name: str) -> None:
    """Level 28 waits 2^28 s. RabbitMQ 3.10.8 and 4.0.5 allow 315,360,000,000 ms."""
    declare_levels(channel, TOP + 1, unit=1)
    channel.confirm_delivery()
    delay(channel, unique_name, 2**TOP)
    wait_ready(channel, name_of(TOP), 1)


def test_an_exchange_matches_any_of_its_booleans(channel: BlockingChannel, unique_name: str) -> None:
    channel.confirm_delivery()
    channel.exchange_declare(unique_name, "headers")
    channel.queue_declare(unique_name)
    channel.queue_bind(unique_name, unique_name, arguments={"x-match": "any", "a": True, "b": False})
    for number, headers in enumerate(({"a": True}, {"b": False}, {"a": False, "b": True}, {"a": 1}, {"a": "true"})):
        channel.basic_publish(unique_name, "", str(number), pika.BasicProperties(headers=headers))
    assert bodies(take(channel, unique_name, 2)) == ["0", "1"]


def test_a_kill_during_a_delay_loses_no_message_and_delivers_none_early(
    embedded: EmbeddedNode, unique_name: str
) -> None:
    """Run on the embedded broker only: after a kill, RabbitMQ 3.10.8 may deliver its dead letters minutes later, when
    the worker's wait for a confirm ends.
    """
    channel = embedded.connect().channel()
    channel.confirm_delivery()
    declare_levels(channel, 4, top=6)
    channel.queue_declare(unique_name, durable=True, arguments={"x-queue-type": "quorum"})
    channel.queue_bind(unique_name, DUE, unique_name)
    began = time.monotonic()
    for number in range(200):
        delay(channel, unique_name, 15, str(number), top=6)
    embedded.kill()
    embedded.start()
    subscription = Subscription(embedded.connect().channel(), unique_name, auto_ack=True)
    subscription.until(lambda: len(subscription.messages) >= 200, 60, "all messages")
    assert time.monotonic() - began >= 15 * UNIT
    assert {message.body for message in subscription.nothing_more(200)} == {str(n).encode() for n in range(200)}

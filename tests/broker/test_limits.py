"""A queue's limits: time to live, length, priority, delivery limit."""

from __future__ import annotations

from collections.abc import Callable

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.amqp import (
    Subscription,
    bodies,
    get,
    publish,
    publish_confirmed,
    ready,
    refused,
    take,
    wait_ready,
)

Connect = Callable[..., pika.BlockingConnection]


def test_a_message_expires_at_its_own_time_to_live(channel: BlockingChannel, queue: str) -> None:
    publish_confirmed(channel, queue, "short", expiration="80")
    publish_confirmed(channel, queue, "long", expiration="60000")
    wait_ready(channel, queue, 1)
    assert bodies(take(channel, queue, 1)) == ["long"]


def test_the_shorter_of_two_times_to_live_applies(channel: BlockingChannel, unique_name: str) -> None:
    channel.queue_declare(unique_name, arguments={"x-message-ttl": 80})
    publish_confirmed(channel, unique_name, "x", expiration="60000")
    wait_ready(channel, unique_name, 0)


def test_a_time_to_live_of_zero_reaches_a_waiting_consumer_only(channel: BlockingChannel, unique_name: str) -> None:
    channel.queue_declare(unique_name, arguments={"x-message-ttl": 0})
    publish_confirmed(channel, unique_name, "nobody waits")
    assert get(channel, unique_name) is None
    subscription = Subscription(channel, unique_name)
    publish_confirmed(channel, unique_name, "somebody waits")
    assert bodies(subscription.wait(1)) == ["somebody waits"]


def test_an_expired_message_is_never_delivered(channel: BlockingChannel, queue: str) -> None:
    publish_confirmed(channel, queue, "gone", expiration="50")
    wait_ready(channel, queue, 0)
    subscription = Subscription(channel, queue)
    publish_confirmed(channel, queue, "here")
    assert bodies(subscription.wait(1)) == ["here"]


def test_a_full_queue_drops_its_oldest(channel: BlockingChannel, unique_name: str) -> None:
    channel.queue_declare(unique_name, arguments={"x-max-length": 3})
    publish_confirmed(channel, unique_name, *"12345")
    wait_ready(channel, unique_name, 3)
    assert bodies(take(channel, unique_name, 3)) == ["3", "4", "5"]


def test_unacked_messages_do_not_fill_a_queue(channel: BlockingChannel, unique_name: str) -> None:
    channel.queue_declare(unique_name, arguments={"x-max-length": 2})
    publish_confirmed(channel, unique_name, *"12")
    held = take(channel, unique_name, 2, auto_ack=False)
    publish_confirmed(channel, unique_name, *"34")
    assert ready(channel, unique_name) == 2
    channel.basic_ack(held[-1].tag, multiple=True)


def test_a_requeue_drops_the_oldest_of_a_full_queue(channel: BlockingChannel, unique_name: str) -> None:
    channel.queue_declare(unique_name, arguments={"x-max-length": 2})
    publish_confirmed(channel, unique_name, *"12")
    first = take(channel, unique_name, 1, auto_ack=False)[0]
    publish_confirmed(channel, unique_name, "3")
    channel.basic_nack(first.tag, requeue=True)
    channel.basic_qos()  # answered after the requeue
    assert bodies(take(channel, unique_name, 2)) == ["2", "3"]


def test_a_queue_full_in_bytes_drops_its_oldest(channel: BlockingChannel, unique_name: str) -> None:
    channel.queue_declare(unique_name, arguments={"x-max-length-bytes": 10})
    publish_confirmed(channel, unique_name, "aaaa", "bbbb", "cccc")
    wait_ready(channel, unique_name, 2)
    assert bodies(take(channel, unique_name, 2)) == ["bbbb", "cccc"]


def test_a_length_limit_of_zero_drops_every_ready_message(channel: BlockingChannel, unique_name: str) -> None:
    channel.queue_declare(unique_name, arguments={"x-max-length": 0})
    publish_confirmed(channel, unique_name, "x")
    wait_ready(channel, unique_name, 0)
    assert get(channel, unique_name) is None


def test_higher_priorities_come_first_and_equals_in_order(channel: BlockingChannel, unique_name: str) -> None:
    channel.queue_declare(unique_name, arguments={"x-max-priority": 5})
    for body, priority in [("a1", 1), ("b5", 5), ("c1", 1), ("d9", 9), ("e0", None), ("f5", 5)]:
        publish_confirmed(channel, unique_name, body, priority=priority)
    assert bodies(take(channel, unique_name, 6)) == ["b5", "d9", "f5", "a1", "c1", "e0"]


def test_priorities_are_ignored_without_x_max_priority(channel: BlockingChannel, queue: str) -> None:
    publish_confirmed(channel, queue, "low", priority=1)
    publish_confirmed(channel, queue, "high", priority=9)
    assert bodies(take(channel, queue, 2)) == ["low", "high"]


def test_a_quorum_queue_counts_deliveries(channel: BlockingChannel, unique_name: str) -> None:
    channel.queue_declare(unique_name, durable=True, arguments={"x-queue-type": "quorum"})
    publish_confirmed(channel, unique_name, "x")
    for attempt in range(3):
        message = take(channel, unique_name, 1, auto_ack=False)[0]
        assert message.headers.get("x-delivery-count", 0) == attempt
        channel.basic_reject(message.tag, requeue=True)


def test_a_quorum_queue_dead_letters_at_its_delivery_limit(channel: BlockingChannel, unique_name: str) -> None:
    dead = f"{unique_name}-dead"
    channel.queue_declare(dead)
    channel.queue_declare(
        unique_name,
        durable=True,
        arguments={
            "x-queue-type": "quorum",
            "x-delivery-limit": 2,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": dead,
        },
    )
    publish_confirmed(channel, unique_name, "poison")
    for _ in range(3):
        message = take(channel, unique_name, 1, auto_ack=False)[0]
        channel.basic_nack(message.tag, requeue=True)
    letter = take(channel, dead, 1)[0]
    assert letter.headers["x-death"][0]["reason"] == "delivery_limit"


@pytest.mark.parametrize(
    "properties", [{"durable": False}, {"durable": True, "exclusive": True}, {"durable": True, "auto_delete": True}]
)
def test_a_quorum_queue_must_be_durable_and_shared(
    channel: BlockingChannel, unique_name: str, properties: dict[str, bool]
) -> None:
    with refused(406):
        channel.queue_declare(unique_name, arguments={"x-queue-type": "quorum"}, **properties)


def test_lazy_mode_is_accepted(channel: BlockingChannel, unique_name: str) -> None:
    channel.queue_declare(unique_name, arguments={"x-queue-mode": "lazy"})
    publish(channel, unique_name, *"123")
    assert bodies(take(channel, unique_name, 3)) == ["1", "2", "3"]


def test_an_expired_message_waits_behind_one_of_a_higher_priority(channel: BlockingChannel, unique_name: str) -> None:
    channel.queue_declare(unique_name, arguments={"x-max-priority": 3})
    publish_confirmed(channel, unique_name, "lasting", priority=3)
    publish_confirmed(channel, unique_name, "expired", priority=1, expiration="0")
    assert ready(channel, unique_name) == 2
    assert bodies(take(channel, unique_name, 1)) == ["lasting"]
    wait_ready(channel, unique_name, 0)


def test_messages_requeued_together_drop_the_oldest_together(channel: BlockingChannel, unique_name: str) -> None:
    channel.queue_declare(unique_name, arguments={"x-max-length": 3})
    publish_confirmed(channel, unique_name, *"123")
    held = take(channel, unique_name, 3, auto_ack=False)
    publish_confirmed(channel, unique_name, *"45")
    channel.basic_nack(held[-1].tag, multiple=True, requeue=True)
    channel.basic_qos()  # answered after the requeue
    assert bodies(take(channel, unique_name, 3)) == ["3", "4", "5"]


@pytest.mark.parametrize(("limit", "order"), [({}, ["2", "3", "1"]), ({"x-delivery-limit": 5}, ["1", "2", "3"])])
def test_a_quorum_queue_without_a_delivery_limit_requeues_to_its_end(
    channel: BlockingChannel, unique_name: str, limit: dict[str, int], order: list[str]
) -> None:
    channel.queue_declare(unique_name, durable=True, arguments={"x-queue-type": "quorum"} | limit)
    publish_confirmed(channel, unique_name, *"123")
    channel.basic_nack(take(channel, unique_name, 1, auto_ack=False)[0].tag)
    wait_ready(channel, unique_name, 3)
    assert bodies(take(channel, unique_name, 3)) == order


def test_a_quorum_queue_delivers_requeued_messages_in_order_of_return(connect: Connect, unique_name: str) -> None:
    channel = connect().channel()
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": 5}
    channel.queue_declare(unique_name, durable=True, arguments=arguments)
    publish_confirmed(channel, unique_name, *"1234")
    held = take(channel, unique_name, 3, auto_ack=False)
    for message in reversed(held):
        channel.basic_nack(message.tag)
        channel.basic_qos()
    wait_ready(channel, unique_name, 4)
    assert bodies(take(channel, unique_name, 4)) == ["3", "2", "1", "4"]


def test_a_quorum_queue_requeues_a_closed_channels_messages_to_its_front(
    connect: Connect, channel: BlockingChannel, unique_name: str
) -> None:
    channel.queue_declare(unique_name, durable=True, arguments={"x-queue-type": "quorum"})
    publish_confirmed(channel, unique_name, *"123")
    lost = connect().channel()
    Subscription(lost, unique_name, consumer_tag="lost").wait(3)
    publish_confirmed(channel, unique_name, "4")
    lost.connection.close()
    wait_ready(channel, unique_name, 4)
    assert bodies(take(channel, unique_name, 4)) == list("1234")


def test_a_quorum_queue_refuses_arguments_of_mirrors_and_streams(channel: BlockingChannel, unique_name: str) -> None:
    channel.queue_declare(unique_name, durable=True, arguments={"x-queue-type": "quorum"})
    with refused(406) as refusal:
        channel.basic_consume(unique_name, lambda *_: None, arguments={"x-cancel-on-ha-failover": True})
    assert "of queue type rabbit_quorum_queue" in refusal.text

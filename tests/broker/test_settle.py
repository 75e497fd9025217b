"""Acknowledging, rejecting and requeueing."""

from __future__ import annotations

from collections.abc import Callable

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.amqp import Subscription, bodies, get, publish_confirmed, ready, refused, take, wait_ready

Connect = Callable[..., pika.BlockingConnection]


def test_an_acked_message_is_removed(connect: Connect, channel: BlockingChannel, queue: str) -> None:
    publish_confirmed(channel, queue, *"12")
    other = connect().channel()
    other.basic_ack(take(other, queue, 2, auto_ack=False)[0].tag)
    other.connection.close()
    wait_ready(channel, queue, 1)
    assert bodies(take(channel, queue, 1)) == ["2"]


def test_a_multiple_ack_settles_all_up_to_its_tag(connect: Connect, channel: BlockingChannel, queue: str) -> None:
    publish_confirmed(channel, queue, *"12345")
    other = connect().channel()
    tags = [message.tag for message in take(other, queue, 5, auto_ack=False)]
    other.basic_ack(tags[2], multiple=True)
    other.connection.close()
    assert bodies(take(channel, queue, 2)) == ["4", "5"]


def test_a_multiple_ack_of_tag_zero_settles_all(connect: Connect, channel: BlockingChannel, queue: str) -> None:
    publish_confirmed(channel, queue, *"123")
    other = connect().channel()
    take(other, queue, 3, auto_ack=False)
    other.basic_ack(0, multiple=True)
    other.connection.close()
    wait_ready(channel, queue, 0)


@pytest.mark.parametrize(
    "settle",
    [
        lambda channel, tag: channel.basic_ack(tag),
        lambda channel, tag: channel.basic_nack(tag),
        lambda channel, tag: channel.basic_reject(tag),
        lambda channel, tag: channel.basic_ack(tag, multiple=True),
    ],
    ids=["ack", "nack", "reject", "multiple ack"],
)
def test_an_unknown_delivery_tag_closes_the_channel(
    channel: BlockingChannel, settle: Callable[[BlockingChannel, int], None]
) -> None:
    with refused(406) as refusal:
        settle(channel, 7)
        channel.basic_qos()
    assert refusal.text == "PRECONDITION_FAILED - unknown delivery tag 7"
    assert not refusal.connection_closed


def test_a_message_cannot_be_acked_twice(channel: BlockingChannel, queue: str) -> None:
    publish_confirmed(channel, queue, "1")
    tag = take(channel, queue, 1, auto_ack=False)[0].tag
    channel.basic_ack(tag)
    with refused(406):
        channel.basic_ack(tag)
        channel.basic_qos()


def test_a_requeued_message_keeps_its_position_and_is_redelivered(channel: BlockingChannel, queue: str) -> None:
    publish_confirmed(channel, queue, *"123")
    first, second = take(channel, queue, 2, auto_ack=False)
    channel.basic_nack(second.tag, requeue=True)
    channel.basic_reject(first.tag, requeue=True)
    wait_ready(channel, queue, 3)
    again = take(channel, queue, 3)
    assert bodies(again) == ["1", "2", "3"]
    assert [message.redelivered for message in again] == [True, True, False]


def test_a_multiple_nack_requeues_in_order(channel: BlockingChannel, queue: str) -> None:
    publish_confirmed(channel, queue, *"12345")
    tags = [message.tag for message in take(channel, queue, 4, auto_ack=False)]
    channel.basic_nack(tags[2], multiple=True, requeue=True)
    wait_ready(channel, queue, 4)
    assert bodies(take(channel, queue, 4)) == ["1", "2", "3", "5"]


@pytest.mark.parametrize("verb", ["nack", "reject"])
def test_a_rejected_message_without_a_dead_letter_exchange_is_dropped(
    channel: BlockingChannel, queue: str, verb: str
) -> None:
    publish_confirmed(channel, queue, "1")
    tag = take(channel, queue, 1, auto_ack=False)[0].tag
    getattr(channel, f"basic_{verb}")(tag, requeue=False)
    assert ready(channel, queue) == 0
    assert get(channel, queue) is None


def test_a_requeued_message_is_delivered_again_to_the_consumer(channel: BlockingChannel, queue: str) -> None:
    publish_confirmed(channel, queue, "again")
    subscription = Subscription(channel, queue)
    channel.basic_nack(subscription.wait(1)[0].tag, requeue=True)
    first, second = subscription.wait(2)
    assert (first.tag, first.redelivered) == (1, False)
    assert (second.tag, second.redelivered) == (2, True)


def test_recover_requeues_everything(channel: BlockingChannel, queue: str) -> None:
    publish_confirmed(channel, queue, *"12")
    subscription = Subscription(channel, queue)
    subscription.wait(2)
    channel.basic_recover(requeue=True)
    again = subscription.wait(4)[2:]
    assert bodies(again) == ["1", "2"]
    assert all(message.redelivered for message in again)


def test_recover_without_requeue_is_not_implemented(channel: BlockingChannel) -> None:
    with refused(540) as refusal:
        channel.basic_recover(requeue=False)
    assert refusal.connection_closed


def test_a_transaction_publishes_and_acks_at_commit(connect: Connect, channel: BlockingChannel, queue: str) -> None:
    publish_confirmed(channel, queue, "old")
    other = connect().channel()
    other.tx_select()
    old = take(other, queue, 1, auto_ack=False)[0]
    other.basic_ack(old.tag)
    other.basic_publish("", queue, b"new")
    assert ready(channel, queue) == 0
    other.tx_commit()
    assert bodies(take(channel, queue, 1)) == ["new"]


def test_a_rollback_undoes_publishes_and_acks(connect: Connect, channel: BlockingChannel, queue: str) -> None:
    publish_confirmed(channel, queue, "old")
    other = connect().channel()
    other.tx_select()
    old = take(other, queue, 1, auto_ack=False)[0]
    other.basic_ack(old.tag)
    other.basic_publish("", queue, b"never")
    other.tx_rollback()
    other.close()
    wait_ready(channel, queue, 1)
    assert bodies(take(channel, queue, 1)) == ["old"]


def test_committing_outside_a_transaction_is_refused(channel: BlockingChannel) -> None:
    with refused(406) as refusal:
        channel.tx_commit()
    assert "channel is not transactional" in refusal.text

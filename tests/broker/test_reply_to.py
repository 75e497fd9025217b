"""Direct reply-to: replies without a queue (RabbitMQ docs: direct reply-to)."""

from __future__ import annotations

from collections.abc import Callable

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import UnroutableError

from tests.support.amqp import Subscription, refused, take

REPLY_TO = "amq.rabbitmq.reply-to"
Connect = Callable[..., pika.BlockingConnection]


def ask(channel: BlockingChannel, queue: str) -> Subscription:
    """Publish a request and wait for replies."""
    answers = Subscription(channel, REPLY_TO, auto_ack=True)
    channel.basic_publish("", queue, b"question", pika.BasicProperties(reply_to=REPLY_TO, correlation_id="7"))
    return answers


def test_a_reply_reaches_the_requester(connect: Connect, channel: BlockingChannel, queue: str) -> None:
    answers = ask(channel, queue)
    other = connect().channel()
    request = take(other, queue, 1)[0]
    assert request.properties.reply_to.startswith(REPLY_TO + ".")
    other.basic_publish("", request.properties.reply_to, b"answer", pika.BasicProperties(correlation_id="7"))
    answer = answers.wait(1)[0]
    assert (answer.body, answer.properties.correlation_id) == (b"answer", "7")


def test_a_reply_to_a_closed_channel_is_unroutable(connect: Connect, channel: BlockingChannel, queue: str) -> None:
    asker = connect()
    ask(asker.channel(), queue)
    request = take(channel, queue, 1)[0]
    asker.close()
    channel.confirm_delivery()
    with pytest.raises(UnroutableError):
        channel.basic_publish("", request.properties.reply_to, b"late", mandatory=True)


def test_replies_must_be_consumed_without_acknowledgement(channel: BlockingChannel) -> None:
    with refused(406) as refusal:
        channel.basic_consume(REPLY_TO, lambda *_: None, auto_ack=False)
    assert "reply consumer cannot acknowledge" in refusal.text


def test_a_request_without_a_reply_consumer_is_refused(channel: BlockingChannel, queue: str) -> None:
    channel.confirm_delivery()
    with refused(406) as refusal:
        channel.basic_publish("", queue, b"x", pika.BasicProperties(reply_to=REPLY_TO))
    assert "fast reply consumer does not exist" in refusal.text


def test_the_pseudo_queue_can_be_declared(channel: BlockingChannel) -> None:
    assert channel.queue_declare(REPLY_TO, passive=True).method.queue == REPLY_TO


def test_a_mandatory_message_to_a_reply_name_is_returned(
    connect: Connect, channel: BlockingChannel, queue: str
) -> None:
    answers = ask(channel, queue)
    other = connect().channel()
    request = take(other, queue, 1)[0]
    other.confirm_delivery()
    with pytest.raises(UnroutableError):
        other.basic_publish("", request.properties.reply_to, b"answer", mandatory=True)
    assert answers.wait(1)[0].body == b"answer"


@pytest.mark.parametrize("name", [f"{REPLY_TO}.nobody", f"{REPLY_TO}."])
def test_a_reply_to_an_unknown_name_is_unroutable(channel: BlockingChannel, name: str) -> None:
    channel.confirm_delivery()
    channel.basic_publish("", name, b"answer")
    with refused(404) as refusal:
        channel.queue_declare(name, passive=True)
    assert refusal.text == f"NOT_FOUND - no queue '{name}' in vhost '/'"


def test_a_channel_has_at_most_one_reply_consumer(channel: BlockingChannel) -> None:
    channel.basic_consume(REPLY_TO, lambda *_: None, auto_ack=True)
    with refused(406) as refusal:
        channel.basic_consume(REPLY_TO, lambda *_: None, auto_ack=True)
    assert refusal.text == "PRECONDITION_FAILED - reply consumer already set"

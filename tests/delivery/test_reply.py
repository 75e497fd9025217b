"""RPC over HTTP for AMQP callers: what the target answers goes to replyTo."""

from __future__ import annotations

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.delivery.raw_server import answering
from tests.delivery.running import Consumers
from tests.support.amqp import publish, ready, take
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.target import Target


def test_a_caller_gets_the_targets_answer_by_direct_reply_to(
    consumers: Consumers, broker: BrokerNode, channel: BlockingChannel, queue: str, target: Target
) -> None:
    consumers.deliver(queue, target.url("/echo"), reply=True)
    answers: list[tuple[pika.BasicProperties, bytes]] = []
    with broker.connect() as caller:
        mine = caller.channel()
        mine.basic_consume(
            "amq.rabbitmq.reply-to", lambda _c, _m, properties, body: answers.append((properties, body)), auto_ack=True
        )
        question = pika.BasicProperties(
            reply_to="amq.rabbitmq.reply-to", correlation_id="call-1", content_type="application/json"
        )
        mine.basic_publish("", queue, b'{"sku": 7}', question)
        wait_until(lambda: caller.process_data_events(0.05) or answers)
    properties, body = answers[0]
    assert (body, properties.correlation_id, properties.content_type) == (b'{"sku": 7}', "call-1", "application/json")
    assert properties.headers["workerrmq-status"] == 200


def test_a_long_answer_is_replied_as_far_as_it_is_read_and_a_queue_will_do_as_well(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    replies = channel.queue_declare("", exclusive=True).method.queue
    consumers.deliver(queue, target.url("/echo"), reply=True)
    publish(channel, queue, b"x" * 40_000, reply_to=replies, correlation_id="c")
    wait_until(lambda: ready(channel, replies) == 1)
    assert channel.basic_get(replies, auto_ack=True)[2] == b"x" * 40_000


def test_a_caller_who_is_gone_does_not_hold_up_the_queue(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    consumers.deliver(queue, target.url("/echo"), reply=True)
    publish(channel, queue, *"123", reply_to="nobody-listens", correlation_id="c")
    wait_until(lambda: (report := consumers.report(queue)) and report.delivered == 3)
    consumers.end(5)
    assert ready(channel, queue) == 0


def test_nothing_is_answered_into_a_queue_of_the_services_own(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    own = f"workerrmq.{queue}"
    channel.queue_declare(own, durable=True)
    consumers.deliver(queue, target.url("/echo"), reply=True)
    publish(channel, queue, b"x", reply_to=own)
    wait_until(lambda: (report := consumers.report(queue)) and report.delivered == 1)
    consumers.end(5)
    assert ready(channel, own) == 0


def test_without_reply_nothing_is_answered(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    replies = channel.queue_declare("", exclusive=True).method.queue
    consumers.deliver(queue, target.url("/echo"))
    publish(channel, queue, b"x", reply_to=replies)
    wait_until(lambda: (report := consumers.report(queue)) and report.delivered == 1)
    consumers.end(5)
    assert ready(channel, replies) == 0


@pytest.mark.broker_independent
@pytest.mark.parametrize(
    ("content_type", "shown"),
    [(b"text/plain; \xff", "text/plain; \ufffd"), (b"a" * 300, "application/octet-stream"), (b"", None)],
    ids=["not UTF-8", "longer than AMQP allows", "empty"],
)
def test_a_reply_is_published_whatever_the_content_type_of_the_target(
    consumers: Consumers, channel: BlockingChannel, queue: str, content_type: bytes, shown: str | None
) -> None:
    replies = channel.queue_declare("", exclusive=True).method.queue
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: " + content_type + b"\r\n\r\nok") as address:
        consumers.deliver(queue, f"http://{address}/", reply=True)
        publish(channel, queue, b"x", reply_to=replies, message_id="m" * 255)
        (answer,) = take(channel, replies, 1)
    assert (answer.body, answer.properties.content_type) == (b"ok", shown)
    wait_until(lambda: (report := consumers.report(queue)) and report.delivered == 1)

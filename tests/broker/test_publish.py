"""Publishing: confirms, returns, errors."""

from __future__ import annotations

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import NackError, UnroutableError

from tests.support.amqp import bodies, publish_confirmed, refused, take, wait_ready


def test_an_unroutable_mandatory_message_is_returned(channel: BlockingChannel) -> None:
    channel.confirm_delivery()
    properties = pika.BasicProperties(message_id="m", headers={"k": "v"})
    with pytest.raises(UnroutableError) as returned:
        channel.basic_publish("amq.direct", "nowhere", b"back", properties, mandatory=True)
    message = returned.value.messages[0]
    assert (message.method.reply_code, message.method.reply_text) == (312, "NO_ROUTE")
    assert (message.method.exchange, message.method.routing_key) == ("amq.direct", "nowhere")
    assert message.body == b"back"
    assert vars(message.properties) == vars(properties)


def test_an_unroutable_message_is_confirmed_if_not_mandatory(channel: BlockingChannel) -> None:
    channel.confirm_delivery()
    channel.basic_publish("amq.direct", "nowhere", b"dropped")


def test_an_unroutable_mandatory_message_is_returned_without_confirms_too(channel: BlockingChannel) -> None:
    seen: list[int] = []
    channel.add_on_return_callback(lambda channel, method, properties, body: seen.append(method.reply_code))
    channel.basic_publish("", "no such queue", b"back", mandatory=True)
    channel.connection.process_data_events(5)
    assert seen == [312]


def test_publishing_to_a_missing_exchange_closes_the_channel(channel: BlockingChannel, unique_name: str) -> None:
    channel.confirm_delivery()
    with refused(404) as refusal:
        channel.basic_publish(unique_name, "", b"x")
    assert refusal.text == f"NOT_FOUND - no exchange '{unique_name}' in vhost '/'"
    assert not refusal.connection_closed


def test_another_users_id_is_refused(channel: BlockingChannel, queue: str) -> None:
    channel.confirm_delivery()
    with refused(406) as refusal:
        channel.basic_publish("", queue, b"x", pika.BasicProperties(user_id="somebody"))
    assert refusal.text == (
        "PRECONDITION_FAILED - user_id property set to 'somebody' but authenticated user was 'guest'"
    )


def test_immediate_is_not_implemented(channel: BlockingChannel, queue: str) -> None:
    with refused(540) as refusal:
        channel._impl._send_method(
            pika.spec.Basic.Publish(exchange="", routing_key=queue, immediate=True), (pika.BasicProperties(), b"x")
        )
        channel.connection.process_data_events(5)
    assert refusal.connection_closed
    assert "immediate=true" in refusal.text


@pytest.mark.parametrize("expiration", ["soon", "-1", "1.5", ""])
def test_an_expiration_that_is_no_number_is_refused(channel: BlockingChannel, queue: str, expiration: str) -> None:
    channel.confirm_delivery()
    with refused(406) as refusal:
        channel.basic_publish("", queue, b"x", pika.BasicProperties(expiration=expiration))
    assert f"invalid expiration '{expiration}'" in refusal.text


def test_a_full_queue_with_reject_publish_nacks(channel: BlockingChannel, unique_name: str) -> None:
    channel.queue_declare(unique_name, arguments={"x-max-length": 2, "x-overflow": "reject-publish"})
    publish_confirmed(channel, unique_name, "1", "2")
    wait_ready(channel, unique_name, 2)
    with pytest.raises(NackError):
        publish_confirmed(channel, unique_name, "3")
    assert bodies(take(channel, unique_name, 2)) == ["1", "2"]


def test_confirm_select_may_be_repeated(channel: BlockingChannel, queue: str) -> None:
    raw = channel._impl
    for _ in range(2):
        raw.confirm_delivery(ack_nack_callback=lambda frame: None)
        channel.connection.process_data_events(0.1)
    channel.queue_declare(queue, passive=True)


def test_a_channel_is_either_confirming_or_transactional(channel: BlockingChannel) -> None:
    connection = channel.connection
    one = connection.channel()
    one.confirm_delivery()
    with refused(406) as refusal:
        one.tx_select()
    assert "cannot switch from confirm to tx mode" in refusal.text
    two = connection.channel()
    two.tx_select()
    with refused(406) as refusal:
        two.confirm_delivery()
    assert "cannot switch from tx to confirm mode" in refusal.text

"""The protocol's rarely used methods that RabbitMQ supports."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.credentials import PlainCredentials

from tests.broker.test_connection import raw_frame
from tests.support.amqp import Subscription, bodies, publish_confirmed, ready, refused, take, wait_ready
from tests.support.processes import wait_until

Connect = Callable[..., pika.BlockingConnection]
spec = pika.spec


class AmqplainCredentials(PlainCredentials):  # type: ignore[misc]
    """RabbitMQ's older mechanism: name and password in a field table without its length."""

    TYPE = "AMQPLAIN"

    def response_for(self, start: Any) -> tuple[str, bytes]:
        assert "AMQPLAIN" in str(start.mechanisms)
        fields = ((b"LOGIN", self.username.encode()), (b"PASSWORD", self.password.encode()))
        return self.TYPE, b"".join(
            bytes([len(name)]) + name + b"S" + struct.pack(">I", len(value)) + value for name, value in fields
        )


@pytest.fixture
def amqplain(monkeypatch: pytest.MonkeyPatch) -> type[AmqplainCredentials]:
    """Register the credentials class with pika and return an instance."""
    monkeypatch.setattr(pika.credentials, "VALID_TYPES", [*pika.credentials.VALID_TYPES, AmqplainCredentials])
    return AmqplainCredentials


class RecoverAsync(spec.Basic.Recover):  # type: ignore[misc,name-defined]
    """basic.recover-async, which pika lacks."""

    INDEX = 0x003C0064
    synchronous = False

    def __init__(self) -> None:
        super().__init__(requeue=True)


def asked(channel: BlockingChannel, method: Any, answer: type) -> Any:
    """Send a method that pika's channel does not support and wait for its reply."""
    answers: list[Any] = []
    channel._impl.add_callback(lambda frame: answers.append(frame.method), [answer])
    channel._impl._send_method(method)
    wait_until(lambda: channel.connection.process_data_events(0) or answers, 10, answer.__name__)
    return answers[0]


def test_amqplain_checks_the_password(connect: Connect, amqplain: type[AmqplainCredentials]) -> None:
    assert connect(credentials=amqplain("guest", "guest")).channel().is_open
    with pytest.raises(pika.exceptions.ProbableAuthenticationError) as refusal:
        connect(credentials=amqplain("guest", "wrong"))
    assert "Login was refused using authentication mechanism AMQPLAIN" in str(refusal.value)


def test_more_channels_than_negotiated_close_the_connection(connect: Connect) -> None:
    connection = connect(channel_max=2)
    for _ in range(2):
        channel = connection.channel()
    with refused(530) as refusal:
        raw_frame(channel, 1, 3, struct.pack(">HHB", 20, 10, 0))
    assert refusal.connection_closed
    assert refusal.text == ("NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)")


def test_a_secret_can_be_updated(connect: Connect) -> None:
    connection = connect()
    connection.update_secret("guest", "because")
    assert connection.channel().is_open


def test_access_request_is_granted(channel: BlockingChannel) -> None:
    assert asked(channel, spec.Access.Request(realm="/data"), spec.Access.RequestOk).ticket == 1


def test_methods_with_no_wait_take_effect(channel: BlockingChannel, unique_name: str) -> None:
    say = channel._impl._send_method
    say(spec.Queue.Declare(queue=unique_name, nowait=True))
    say(spec.Exchange.Declare(exchange=unique_name, type="fanout", nowait=True))
    say(spec.Queue.Bind(queue=unique_name, exchange=unique_name, nowait=True))
    channel.confirm_delivery()
    channel.basic_publish(unique_name, "", b"x", mandatory=True)
    say(spec.Queue.Purge(queue=unique_name, nowait=True))
    assert ready(channel, unique_name) == 0
    say(spec.Queue.Delete(queue=unique_name, nowait=True))
    say(spec.Exchange.Delete(exchange=unique_name, nowait=True))
    with refused(404):
        channel.exchange_declare(unique_name, passive=True)


def test_an_exchange_can_be_unbound_from_another(channel: BlockingChannel, queue: str, unique_name: str) -> None:
    channel.exchange_declare(unique_name, "fanout")
    channel.queue_bind(queue, unique_name)
    channel.exchange_bind(unique_name, "amq.topic", "a.*")
    channel.exchange_unbind(unique_name, "amq.topic", "a.*")
    channel.exchange_unbind(unique_name, "amq.topic", "a.*")  # again: no error
    channel.confirm_delivery()
    with pytest.raises(pika.exceptions.UnroutableError):
        channel.basic_publish("amq.topic", "a.b", b"x", mandatory=True)


def test_recover_async_requeues_everything_without_a_reply(channel: BlockingChannel, queue: str) -> None:
    publish_confirmed(channel, queue, "1", "2")
    take(channel, queue, 2, auto_ack=False)
    channel._impl._send_method(RecoverAsync())
    wait_ready(channel, queue, 2)
    again = take(channel, queue, 2)
    assert [(message.body, message.redelivered) for message in again] == [(b"1", True), (b"2", True)]


def test_the_users_own_user_id_is_accepted(channel: BlockingChannel, queue: str) -> None:
    publish_confirmed(channel, queue, "x", user_id="guest")
    assert take(channel, queue, 1)[0].properties.user_id == "guest"


def test_the_next_single_active_consumer_takes_over(
    connect: Connect, channel: BlockingChannel, unique_name: str
) -> None:
    channel.queue_declare(unique_name, arguments={"x-single-active-consumer": True})
    first = connect()
    holder = Subscription(first.channel(), unique_name)
    heir = Subscription(channel, unique_name)
    publish_confirmed(channel, unique_name, "1", "2")
    assert bodies(holder.wait(2)) == ["1", "2"]
    heir.nothing_more(0)
    first.close()
    assert [(m.body, m.redelivered) for m in heir.wait(2)] == [(b"1", True), (b"2", True)]


def test_an_exclusive_consumer_and_a_single_active_consumer_exclude_each_other(
    channel: BlockingChannel, unique_name: str
) -> None:
    channel.queue_declare(unique_name, arguments={"x-single-active-consumer": True})
    with refused(403) as refusal:
        channel.basic_consume(unique_name, lambda *_: None, exclusive=True)
    assert unique_name in refusal.text


def test_a_global_prefetch_can_be_raised(channel: BlockingChannel, queue: str) -> None:
    publish_confirmed(channel, queue, *"12345")
    channel.basic_qos(prefetch_count=1, global_qos=True)
    subscription = Subscription(channel, queue)
    subscription.wait(1)
    subscription.nothing_more(1)
    channel.basic_qos(prefetch_count=3, global_qos=True)
    subscription.wait(3)
    subscription.nothing_more(3)
    channel.basic_qos(prefetch_count=0, global_qos=True)
    assert bodies(subscription.wait(5)) == list("12345")


def test_a_transactional_publish_to_a_missing_exchange_closes_the_channel_at_once(
    channel: BlockingChannel, unique_name: str
) -> None:
    channel.tx_select()
    with refused(404) as refusal:
        channel.basic_publish(unique_name, "", b"x")
        channel.tx_commit()
    assert refusal.text == f"NOT_FOUND - no exchange '{unique_name}' in vhost '/'"


def test_a_transaction_returns_unroutable_messages_at_its_commit(channel: BlockingChannel) -> None:
    returned: list[bytes] = []
    channel.add_on_return_callback(lambda channel, method, properties, body: returned.append(body))
    channel.tx_select()
    channel.basic_publish("", "no such queue", b"back", mandatory=True)
    channel.connection.process_data_events(0.1)
    channel.tx_commit()
    wait_until(lambda: channel.connection.process_data_events(0) or returned, 20, "basic.return")
    assert returned == [b"back"]


def test_a_transaction_can_be_selected_twice_and_ends_with_its_channel(
    connect: Connect, channel: BlockingChannel, queue: str
) -> None:
    other = connect().channel()
    other.tx_select()
    other.tx_select()
    other.basic_publish("", queue, b"never")
    other.close()
    assert ready(channel, queue) == 0


def test_a_servers_method_from_a_client_closes_the_connection(channel: BlockingChannel) -> None:
    with refused(503) as refusal:
        raw_frame(channel, 1, channel.channel_number, struct.pack(">HHB", 60, 21, 1) + b"x")  # basic.consume-ok
    assert refusal.connection_closed

"""Declaring and deleting queues: equivalence, mismatches, conditions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pika
import pytest
from pamqp import commands
from pika.adapters.blocking_connection import BlockingChannel

from broker.protocol.methods import encode_method
from tests.broker.test_connection import send_raw
from tests.support.amqp import Subscription, publish, publish_confirmed, ready, refused, wait_ready
from tests.support.node import BrokerNode
from tests.support.processes import wait_until

Connect = Callable[..., pika.BlockingConnection]


def test_a_redeclaration_with_the_same_properties_changes_nothing(channel: BlockingChannel, unique_name: str) -> None:
    arguments = {"x-message-ttl": 60000, "x-max-length": 10}
    channel.queue_declare(unique_name, durable=True, arguments=arguments)
    publish_confirmed(channel, unique_name, "kept")
    again = channel.queue_declare(unique_name, durable=True, arguments=arguments).method
    assert (again.queue, again.message_count, again.consumer_count) == (unique_name, 1, 0)


@pytest.mark.parametrize(
    ("property_name", "change"),
    [
        ("durable", {"durable": True}),
        ("auto_delete", {"auto_delete": True}),
        ("x-message-ttl", {"arguments": {"x-message-ttl": 1000}}),
        ("x-max-length", {"arguments": {"x-max-length": 1}}),
        ("x-dead-letter-exchange", {"arguments": {"x-dead-letter-exchange": "amq.direct"}}),
        ("x-expires", {"arguments": {"x-expires": 100000}}),
        ("x-max-priority", {"arguments": {"x-max-priority": 5}}),
    ],
)
def test_a_redeclaration_that_differs_is_refused(
    channel: BlockingChannel, queue: str, property_name: str, change: dict[str, Any]
) -> None:
    with refused(406) as refusal:
        channel.queue_declare(queue, **change)
    assert f"inequivalent arg '{property_name}' for queue '{queue}' in vhost '/'" in refusal.text
    assert not refusal.connection_closed


def test_an_integer_and_a_float_are_different_arguments(channel: BlockingChannel, unique_name: str) -> None:
    channel.queue_declare(unique_name, arguments={"x-max-length": 10})
    payload = encode_method(commands.Queue.Declare, 0, unique_name, False, False, False, False, False,
                            {"x-max-length": 10.0})  # fmt: skip
    with refused(406) as refusal:
        send_raw(channel, 1, channel.channel_number, payload)
        channel.queue_declare(unique_name, passive=True)
    assert "inequivalent arg 'x-max-length'" in refusal.text
    assert "received '10.0' but current is '10'" in refusal.text


def test_a_passive_declare_of_a_missing_queue_is_404(channel: BlockingChannel, unique_name: str) -> None:
    with refused(404) as refusal:
        channel.queue_declare(unique_name, passive=True)
    assert refusal.text == f"NOT_FOUND - no queue '{unique_name}' in vhost '/'"


def test_a_passive_declare_ignores_the_properties(channel: BlockingChannel, queue: str) -> None:
    assert channel.queue_declare(queue, passive=True, durable=True, auto_delete=True).method.queue == queue


def test_reserved_names_are_refused(channel: BlockingChannel) -> None:
    with refused(403) as refusal:
        channel.queue_declare("amq.mine")
    assert "contains reserved prefix 'amq.*'" in refusal.text


def test_the_broker_names_a_queue_without_a_name(channel: BlockingChannel) -> None:
    first, second = (channel.queue_declare("", exclusive=True).method.queue for _ in range(2))
    assert first.startswith("amq.gen-")
    assert first != second


def test_the_channel_remembers_the_queue_it_declared_last(channel: BlockingChannel) -> None:
    name = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind("", "amq.direct", "key")
    channel.basic_publish("amq.direct", "key", b"routed")
    wait_ready(channel, name, 1)


def test_an_exclusive_queue_is_locked_to_other_connections(connect: Connect, channel: BlockingChannel) -> None:
    name = channel.queue_declare("", exclusive=True).method.queue
    actions: list[Callable[[BlockingChannel], Any]] = [
        lambda other: other.queue_declare(name, passive=True),
        lambda other: other.basic_consume(name, lambda *_: None),
        lambda other: other.basic_get(name),
        lambda other: other.queue_purge(name),
        lambda other: other.queue_delete(name),
        lambda other: other.queue_bind(name, "amq.direct", "k"),
    ]
    for action in actions:
        with refused(405) as refusal:
            action(connect().channel())
        assert f"cannot obtain exclusive access to locked queue '{name}' in vhost '/'" in refusal.text


def test_an_exclusive_queue_is_deleted_with_its_connection(connect: Connect, channel: BlockingChannel) -> None:
    owner = connect()
    name = owner.channel().queue_declare("", exclusive=True).method.queue
    owner.close()
    with refused(404):
        channel.queue_declare(name, passive=True)


def test_queue_delete_returns_the_message_count(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, "1", "2", "3")
    wait_ready(channel, queue, 3)
    assert channel.queue_delete(queue).method.message_count == 3


def test_deleting_a_missing_queue_is_no_error(channel: BlockingChannel, unique_name: str) -> None:
    assert channel.queue_delete(unique_name).method.message_count == 0


def test_a_queue_with_messages_is_not_deleted_if_empty(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, "1")
    wait_ready(channel, queue, 1)
    with refused(406) as refusal:
        channel.queue_delete(queue, if_empty=True)
    assert refusal.text == f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' not empty"


@pytest.mark.parametrize("flag", ["if-empty", "if-unused"])
def test_a_quorum_queue_cannot_be_deleted_conditionally(
    channel: BlockingChannel, broker: BrokerNode, unique_name: str, flag: str
) -> None:
    channel.queue_declare(unique_name, durable=True, arguments={"x-queue-type": "quorum"})
    reason = (
        f"cannot delete queue '{unique_name}' in vhost '/'. queue.delete operations with {flag} flag set are not "
        "supported by quorum queues"
    )
    answer = broker.management.delete("queues", "/", unique_name, query={flag: "true"})
    assert (answer.status_code, answer.json()) == (400, {"error": "bad_request", "reason": reason})
    with refused(540) as refusal:
        channel.queue_delete(unique_name, **{flag.replace("-", "_"): True})
    assert refusal.text == f"NOT_IMPLEMENTED - {reason}"


def test_a_queue_with_a_consumer_is_not_deleted_if_unused(channel: BlockingChannel, queue: str) -> None:
    channel.basic_consume(queue, lambda *_: None)
    with refused(406) as refusal:
        channel.queue_delete(queue, if_unused=True)
    assert refusal.text == f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' in use"


def test_a_purge_removes_the_ready_messages_only(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, "held", "2", "3")
    wait_ready(channel, queue, 3)
    held = channel.basic_get(queue)[0].delivery_tag
    assert channel.queue_purge(queue).method.message_count == 2
    channel.basic_nack(held, requeue=True)
    wait_ready(channel, queue, 1)


def test_an_auto_delete_queue_is_deleted_with_its_last_consumer(channel: BlockingChannel, unique_name: str) -> None:
    channel.queue_declare(unique_name, auto_delete=True)
    first, second = (Subscription(channel, unique_name) for _ in range(2))
    channel.basic_cancel(first.tag)
    assert channel.queue_declare(unique_name, passive=True).method.consumer_count == 1
    channel.basic_cancel(second.tag)
    with refused(404):
        channel.queue_declare(unique_name, passive=True)


def test_an_auto_delete_queue_that_never_had_a_consumer_stays(channel: BlockingChannel, unique_name: str) -> None:
    channel.queue_declare(unique_name, auto_delete=True)
    publish(channel, unique_name, "1")
    wait_ready(channel, unique_name, 1)


def test_an_unused_queue_expires(broker: BrokerNode, connect: Connect, unique_name: str) -> None:
    connect().channel().queue_declare(unique_name, arguments={"x-expires": 300})
    wait_until(
        lambda: broker.management.get("queues", "/", unique_name).status_code == 404, 10, "the queue having expired"
    )


def test_a_queue_with_a_consumer_does_not_expire(connect: Connect, channel: BlockingChannel, unique_name: str) -> None:
    channel.queue_declare(unique_name, arguments={"x-expires": 200})
    subscription = Subscription(channel, unique_name)
    witness = f"{unique_name}-witness"
    channel.queue_declare(witness, arguments={"x-expires": 600})
    wait_until(lambda: _is_gone(connect, witness), 20, "the witness having expired")
    assert ready(connect().channel(), unique_name) == 0
    assert not subscription.messages


def _is_gone(connect: Connect, queue: str) -> bool:
    """Return whether the queue is deleted. Poll slowly: the check itself renews the lease."""
    connect().process_data_events(0.7)
    try:
        connect().channel().queue_declare(queue, passive=True)
    except pika.exceptions.ChannelClosedByBroker:
        return True
    return False

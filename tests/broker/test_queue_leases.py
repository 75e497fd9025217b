"""The lease of a queue (`x-expires`) by queue type (RabbitMQ docs: ttl § queue TTL).

RabbitMQ checks the leases of quorum queues every five seconds, so these expire later than set, never sooner.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError

from tests.support.amqp import Subscription, get, publish
from tests.support.node import BrokerNode
from tests.support.processes import wait_until

Connect = Callable[..., pika.BlockingConnection]
# Seconds. Long enough that a loaded machine uses a queue again within its lease.
EXPIRES = 3.0
# Seconds that a lease may outlast its period, because of RabbitMQ's tick and a loaded machine.
LATE = 15.0


def declare(channel: BlockingChannel, name: str, queue_type: str, expires: float = EXPIRES) -> str:
    arguments = {"x-queue-type": queue_type, "x-expires": int(expires * 1000)}
    channel.queue_declare(name, durable=True, arguments=arguments)
    return name


def declare_witness(channel: BlockingChannel, name: str, queue_type: str) -> str:
    """Declare a queue that outlives an unused queue of its type with the usual lease, which is declared after it.

    Its lease is longer than a tick of RabbitMQ, so the other queue's lease is checked at least once in between.
    """
    return declare(channel, f"{name}-witness", queue_type, 2 * EXPIRES)


def is_there(broker: BrokerNode, name: str) -> bool:
    """Return whether the queue exists, by the management API, which renews no lease.

    A probe over AMQP can meet the deletion of the queue: RabbitMQ 3.10 closes a connection with 541 that publishes to a
    quorum queue at that moment.
    """
    answer = broker.management.get("queues", "/", name)
    assert answer.status_code in (200, 404), answer.text
    return answer.status_code == 200


def outlive(channel: BlockingChannel, broker: BrokerNode, witness: str, act: Callable[[], object]) -> None:
    """Repeat `act` until the witness expires."""

    def expired() -> bool:
        act()
        channel.connection.process_data_events(0)
        return not is_there(broker, witness)

    wait_until(expired, 2 * EXPIRES + LATE, "the witness expiring")


def test_declaring_and_publishing_do_not_renew_the_lease_of_a_quorum_queue(
    channel: BlockingChannel, broker: BrokerNode, unique_name: str
) -> None:
    began = time.monotonic()
    queue = declare(channel, unique_name, "quorum")
    uses: list[float] = []

    def expired() -> bool:
        if not is_there(broker, queue):
            return True
        with suppress(AMQPError):  # the queue may be deleted meanwhile
            publish(channel, queue, "x")
            channel.queue_declare(queue, passive=True)
            declare(channel, queue, "quorum")
            uses.append(time.monotonic())
        return False

    wait_until(expired, 2 * LATE, "the queue expiring")
    assert time.monotonic() - began >= EXPIRES
    assert time.monotonic() - uses[-1] < EXPIRES, "it was used until the end"


def test_declaring_renews_the_lease_of_a_classic_queue(
    channel: BlockingChannel, broker: BrokerNode, unique_name: str
) -> None:
    witness = declare_witness(channel, unique_name, "classic")
    queue = declare(channel, unique_name, "classic")
    publish(channel, queue, "first")
    outlive(channel, broker, witness, lambda: declare(channel, queue, "classic"))
    first = get(channel, queue)
    assert first is not None, "the queue expired and was declared anew"
    assert first.body == b"first"


def test_publishing_does_not_renew_the_lease_of_a_classic_queue(
    channel: BlockingChannel, broker: BrokerNode, unique_name: str
) -> None:
    queue = declare(channel, unique_name, "classic")

    def expired() -> bool:
        publish(channel, queue, "x")
        return not is_there(broker, queue)

    wait_until(expired, EXPIRES + LATE, "the queue expiring")


def by_consumer(channel: BlockingChannel, queue: str) -> Callable[[], object]:
    Subscription(channel, queue)
    release: Callable[[], object] = channel.close
    return release


def by_unacked_get(channel: BlockingChannel, queue: str) -> Callable[[], object]:
    wait_until(lambda: get(channel, queue, auto_ack=False), 20, "the message")
    release: Callable[[], object] = channel.close
    return release


def by_unacked_of_a_cancelled_consumer(channel: BlockingChannel, queue: str) -> Callable[[], object]:
    subscription = Subscription(channel, queue)
    subscription.wait(1)
    channel.basic_cancel(subscription.tag)
    return lambda: channel.basic_nack(0, multiple=True)


HOLDERS = [by_consumer, by_unacked_get, by_unacked_of_a_cancelled_consumer]


@pytest.mark.parametrize("hold", HOLDERS)
def test_a_consumer_or_an_unacked_message_holds_the_lease_of_a_quorum_queue(
    connect: Connect,
    channel: BlockingChannel,
    broker: BrokerNode,
    unique_name: str,
    hold: Callable[[BlockingChannel, str], Callable[[], object]],
) -> None:
    witness = declare_witness(channel, unique_name, "quorum")
    holder = connect().channel()
    queue = declare(channel, unique_name, "quorum")
    publish(channel, queue, "x")
    release = hold(holder, queue)
    outlive(channel, broker, witness, lambda: holder.connection.process_data_events(0))
    assert is_there(broker, queue)
    released = time.monotonic()
    release()
    wait_until(lambda: not is_there(broker, queue), EXPIRES + LATE, "the queue expiring")
    assert time.monotonic() - released >= EXPIRES - 0.1


def test_an_unacked_message_does_not_hold_the_lease_of_a_classic_queue(
    channel: BlockingChannel, broker: BrokerNode, unique_name: str
) -> None:
    queue = declare(channel, unique_name, "classic")
    publish(channel, queue, "x")
    by_unacked_get(channel, queue)
    wait_until(lambda: not is_there(broker, queue), EXPIRES + LATE, "the queue expiring")


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
def test_basic_get_renews_the_lease(
    channel: BlockingChannel, broker: BrokerNode, unique_name: str, queue_type: str
) -> None:
    witness = declare_witness(channel, unique_name, queue_type)
    queue = declare(channel, unique_name, queue_type)
    outlive(channel, broker, witness, lambda: get(channel, queue))
    assert is_there(broker, queue)

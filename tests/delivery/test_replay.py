"""Replays and moves of dead letters: the messages that a replay holds at once, and the queues of a move."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from domain.dead_letter import cause_of, died_at
from domain.replay import DeadLetterSelection, MoveRequest, ReplayRequest
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.publisher_thread import PublisherThread
from gateway.amqp.replay import DeadLetterReplay, Progress
from tests.delivery.reading import reader_of
from tests.support.amqp import publish, ready, take, wait_ready
from tests.support.node import BrokerNode


@pytest.fixture
def publisher(broker: BrokerNode) -> Iterator[PublisherThread]:
    one = PublisherThread(BrokerNodes.parse(broker.amqp_url))
    one.start()
    yield one
    one.stop()


def run(broker: BrokerNode, publisher: PublisherThread, wanted: DeadLetterSelection) -> Progress:
    reader = reader_of(broker, BrokerNodes.parse(broker.amqp_url), publisher)
    return DeadLetterReplay(reader, publisher).run(wanted, Event(), lambda _: None)


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)  # it does not matter which
def test_large_dead_letters_are_not_all_in_memory_at_once(
    broker: BrokerNode, publisher: PublisherThread, channel: BlockingChannel, queue: str
) -> None:
    channel.queue_declare(f"{queue}.dlq", durable=True)
    publish(channel, f"{queue}.dlq", *[b"x" * 6_000_000] * 7)
    replayed: list[int] = []

    def report(progress: Progress) -> None:
        replayed.append(progress.replayed)

    reader = reader_of(broker, BrokerNodes.parse(broker.amqp_url), publisher)
    DeadLetterReplay(reader, publisher).run(ReplayRequest(queue_name=queue), Event(), report)
    assert replayed == [3, 6, 7]
    assert (ready(channel, queue), ready(channel, f"{queue}.dlq")) == (7, 0)


@pytest.mark.versions
def test_a_dead_letter_of_the_broker_expires_again_after_a_move_and_is_not_dropped(
    broker: BrokerNode, publisher: PublisherThread, channel: BlockingChannel, unique_name: str
) -> None:
    """RabbitMQ before 4.0 drops a message that expires into a queue of its x-death (docs/dlx#routing)."""
    first, second, last = (f"{unique_name}-{name}" for name in ("first", "second", "last"))
    for name, then in ((first, second), (second, last)):
        expiring = {"x-message-ttl": 100, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": then}
        channel.queue_declare(name, durable=True, arguments=expiring)
    channel.queue_declare(last, durable=True)
    publish(channel, first, b"body", message_id="m-1")
    wait_ready(channel, last, 1)
    for _ in range(2):
        wanted = MoveRequest(queue_name=first, dead_letter_queue=last, to_queue=first)
        assert run(broker, publisher, wanted).replayed == 1
        wait_ready(channel, last, 1)


@pytest.mark.versions
def test_a_moved_dead_letter_of_the_broker_keeps_its_cause_and_time(
    broker: BrokerNode, publisher: PublisherThread, channel: BlockingChannel, queue: str
) -> None:
    letters, parked = f"{queue}-letters", f"{queue}-parked"
    expiring = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": letters}
    channel.queue_declare(f"{queue}-expiring", durable=True, arguments=expiring)
    for name in (letters, parked):
        channel.queue_declare(name, durable=True)
    publish(channel, f"{queue}-expiring", b"body", expiration="1", headers={"mine": 1})
    (letter,) = take(channel, letters, 1)
    assert cause_of(letter.headers)[:3] == (f"{queue}-expiring", None, "expired")
    publish(channel, letters, b"body", headers=letter.headers)
    for one, other in ((letters, parked), (parked, letters)):
        run(broker, publisher, MoveRequest(queue_name=queue, dead_letter_queue=one, to_queue=other))
    (moved,) = take(channel, letters, 1)
    assert (cause_of(moved.headers), died_at(moved.headers)) == (cause_of(letter.headers), died_at(letter.headers))
    assert died_at(moved.headers)
    publish(channel, letters, b"body", headers=moved.headers)
    run(broker, publisher, ReplayRequest(queue_name=queue, dead_letter_queue=letters))
    (back,) = take(channel, queue, 1)
    assert {"mine", "x-replayed-at"} <= set(back.headers)

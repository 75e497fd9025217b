"""The number of messages that a replay of dead letters holds at once."""

from __future__ import annotations

from threading import Event

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from domain.replay import ReplayRequest
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.publisher_thread import PublisherThread
from gateway.amqp.replay import DeadLetterReplay, Progress
from tests.delivery.reading import reader_of
from tests.support.amqp import publish, ready
from tests.support.node import BrokerNode


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)  # it does not matter which
def test_large_dead_letters_are_not_all_in_memory_at_once(
    broker: BrokerNode, channel: BlockingChannel, queue: str
) -> None:
    channel.queue_declare(f"{queue}.dlq", durable=True)
    publish(channel, f"{queue}.dlq", *[b"x" * 6_000_000] * 7)
    publisher = PublisherThread(BrokerNodes.parse(broker.amqp_url))
    publisher.start()
    replayed: list[int] = []

    def report(progress: Progress) -> None:
        replayed.append(progress.replayed)

    reader = reader_of(broker, BrokerNodes.parse(broker.amqp_url), publisher)
    DeadLetterReplay(reader, publisher).run(ReplayRequest(queue_name=queue), Event(), report)
    publisher.stop()
    assert replayed == [3, 6, 7]
    assert (ready(channel, queue), ready(channel, f"{queue}.dlq")) == (7, 0)

"""Retries whose delay is over, published by the test itself."""

from __future__ import annotations

import pika
from pika.adapters.blocking_connection import BlockingChannel

from delivery.copies import ATTEMPTS, QUEUE
from gateway.amqp.topology import DUE

MANY = 1500
"""More than a worker holds at once (1,024)."""


def make_due(channel: BlockingChannel, queue: str, ids: list[str], body: bytes = b"body") -> None:
    """Publish retries of a queue as the lowest delay level does when their delay is over."""
    for one in ids:
        headers = {ATTEMPTS: 1, QUEUE: queue}
        channel.basic_publish(DUE, queue, body, pika.BasicProperties(message_id=one, delivery_mode=2, headers=headers))


def takers(channel: BlockingChannel) -> int:
    """The number of threads that take due retries; 0 if their queue does not exist yet."""
    with channel.connection.channel() as other:
        try:
            return int(other.queue_declare(DUE, passive=True).method.consumer_count)
        except pika.exceptions.ChannelClosedByBroker:
            return 0


def ids_of(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{number}" for number in range(count)]

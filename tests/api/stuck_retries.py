"""Queues whose messages RabbitMQ cannot pass on when their time is over, as when a dead-letter worker is stuck."""

from __future__ import annotations

from tests.support.amqp import publish, publish_confirmed
from tests.support.node import BrokerNode


def level(broker: BrokerNode, name: str, ttl: float, **arguments: object) -> None:
    """Make a queue where retries wait for `ttl` seconds; they are dead-lettered to the queue `full`, which is full."""
    quorum = {"x-queue-type": "quorum", "x-overflow": "reject-publish"}
    at_least_once = {
        "x-message-ttl": round(ttl * 1000),
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "full",
        "x-dead-letter-strategy": "at-least-once",
    }
    with broker.connect() as connection:
        channel = connection.channel()
        channel.queue_declare("full", durable=True, arguments={**quorum, "x-max-length": 1})
        publish(channel, "full", *"1234")
        channel.queue_declare(name, durable=True, arguments={**quorum, **at_least_once, **arguments})


def fill(broker: BrokerNode, queue: str, count: int, **properties: object) -> None:
    """Publish persistent messages to a queue."""
    with broker.connect() as connection:
        publish_confirmed(connection.channel(), queue, *map(str, range(count)), delivery_mode=2, **properties)

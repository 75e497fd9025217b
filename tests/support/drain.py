"""Reads all messages of a queue with a plain AMQP client."""

from __future__ import annotations

from typing import Any

from tests.support.node import BrokerNode


def take(broker: BrokerNode, queue: str) -> list[tuple[Any, Any, bytes]]:
    """Take all messages of a queue: method, properties, body."""
    with broker.connect() as connection:
        channel = connection.channel()
        found = []
        while (message := channel.basic_get(queue, auto_ack=True))[0] is not None:
            found.append(message)
        return found

"""The parity suite: each test runs on RabbitMQ and on the embedded broker, and asserts what clients of RabbitMQ see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError

from tests.support.node import BrokerNode


@pytest.fixture
def connect(broker: BrokerNode) -> Iterator[Callable[..., pika.BlockingConnection]]:
    """Opens AMQP connections (keyword arguments change pika's parameters), which end with the test."""
    opened: list[pika.BlockingConnection] = []

    def open_one(**parameters: object) -> pika.BlockingConnection:
        opened.append(broker.connect(**parameters))
        return opened[-1]

    yield open_one
    for connection in opened:
        with suppress(AMQPError):  # the broker may have closed it, and nobody read that yet
            if connection.is_open:
                connection.close()


@pytest.fixture
def channel(connect: Callable[..., pika.BlockingConnection]) -> BlockingChannel:
    """A channel on a connection of its own."""
    return connect().channel()


@pytest.fixture
def queue(channel: BlockingChannel, unique_name: str) -> str:
    """A classic queue, transient and empty."""
    channel.queue_declare(unique_name)
    return unique_name

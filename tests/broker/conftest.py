"""The parity suite: each test runs on RabbitMQ and on the embedded broker and asserts what RabbitMQ's clients
observe.
"""

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
    """Open AMQP connections, closed after the test. Keyword arguments change pika's parameters."""
    opened: list[pika.BlockingConnection] = []

    def open_one(**parameters: object) -> pika.BlockingConnection:
        opened.append(broker.connect(**parameters))
        return opened[-1]

    yield open_one
    for connection in opened:
        with suppress(AMQPError):  # the broker may have closed it already
            if connection.is_open:
                connection.close()


@pytest.fixture
def channel(connect: Callable[..., pika.BlockingConnection]) -> BlockingChannel:
    """Open a channel on its own connection."""
    return connect().channel()


@pytest.fixture
def queue(channel: BlockingChannel, unique_name: str) -> str:
    """Declare an empty, transient classic queue."""
    channel.queue_declare(unique_name)
    return unique_name

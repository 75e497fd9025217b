"""Consumers on a real thread, between a real broker and a real target; each thread ends with its test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from delivery.periods import Periods
from delivery.target_guard import Guard
from gateway.http.egress import DIRECT, Egress
from gateway.rendering.renderer import RenderLimits
from tests.delivery.running import Consumers
from tests.support.node import BrokerNode
from tests.support.proxy import Proxy


@pytest.fixture
def connection(broker: BrokerNode) -> Iterator[pika.BlockingConnection]:
    """The test's own connection, not the service's."""
    one = broker.connect(heartbeat=0)
    yield one
    with suppress(pika.exceptions.AMQPError, OSError):
        one.close()


@pytest.fixture
def channel(connection: pika.BlockingConnection) -> BlockingChannel:
    """A channel of the test's own connection, in confirm mode."""
    channel = connection.channel()
    channel.confirm_delivery()
    return channel


@pytest.fixture
def queue(channel: BlockingChannel, unique_name: str) -> str:
    """A durable classic queue, empty."""
    channel.queue_declare(unique_name, durable=True)
    return unique_name


@pytest.fixture
def between(broker: BrokerNode, proxy: Callable[[int], Proxy]) -> Proxy:
    """A breakable proxy before the broker; see `proxied_url`."""
    return proxy(broker.port)


@pytest.fixture
def proxied_url(broker: BrokerNode, between: Proxy) -> str:
    """The broker's URL by way of the proxy."""
    return broker.amqp_url.replace(str(broker.port), str(between.port))


@pytest.fixture
def make_consumers(broker: BrokerNode) -> Iterator[Callable[..., Consumers]]:
    """Starts threads without consumers, on the broker unless told another URL; without a guard all may be called."""
    made: list[Consumers] = []

    def make(
        url: str | None = None,
        guard: Guard | None = None,
        periods: Periods = Periods(),  # noqa: B008
        egress: Egress = DIRECT,
        limits: RenderLimits = RenderLimits(),  # noqa: B008
    ) -> Consumers:
        made.append(Consumers(url or broker.amqp_url, guard, periods, egress, limits))
        return made[-1]

    yield make
    for one in made:
        one.end()


@pytest.fixture
def consumers(make_consumers: Callable[..., Consumers]) -> Consumers:
    """A thread without consumers."""
    return make_consumers()

"""Consumers on a real thread, between a real broker and a real target; each thread ends with its test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from delivery.periods import Periods
from delivery.target_guard import Guard
from gateway.amqp.nodes import BrokerNodes
from gateway.consuming.thread import ConsumerThread
from gateway.http.egress import DIRECT, Egress
from gateway.management import DeadLetterGateway, ManagementClient
from gateway.mongo import Store, open_store
from gateway.rendering.renderer import RenderLimits
from services.reconciler import Reconciler
from tests.delivery.frames import FrameCounter
from tests.delivery.running import Consumers
from tests.support.management import management_nodes
from tests.support.node import BrokerNode
from tests.support.proxy import Proxy
from tests.support.store import StoreNode
from tests.support.worker import SECRET


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
def counter(broker: BrokerNode) -> Iterator[FrameCounter]:
    """A proxy before the broker that counts frames; see `counted_url`."""
    one = FrameCounter(broker.port)
    yield one
    one.close()


@pytest.fixture
def counted_url(broker: BrokerNode, counter: FrameCounter) -> str:
    """The broker's URL by way of the counter."""
    return broker.amqp_url.replace(str(broker.port), str(counter.port))


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


@pytest.fixture
def database(unique_name: str) -> str:
    """The name of an empty database of the store."""
    return f"db-{unique_name[-8:]}"


@pytest.fixture
def registry(store: StoreNode, database: str, tmp_path: Path) -> Iterator[Store]:
    """An empty store, as the service opens it."""
    one = open_store(store.uri(database), SECRET, tmp_path)
    yield one
    one.close()


@pytest.fixture
def run_worker(registry: Store, broker: BrokerNode) -> Iterator[Callable[[], Reconciler]]:
    """Starts a worker that runs the consumers of the registry."""
    started: list[Reconciler] = []

    def run() -> Reconciler:
        queues = DeadLetterGateway(ManagementClient(management_nodes(broker.management_url)))
        nodes, periods = BrokerNodes.parse(broker.amqp_url), Periods(longest_rest=0.5)
        one = Reconciler(registry, queues, lambda: ConsumerThread(nodes, periods=periods))
        one.start()
        started.append(one)
        return one

    yield run
    for one in started:
        one.stop(0)

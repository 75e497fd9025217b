"""Workers run the consumers of the registry, and report them in heartbeats."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pymongo import MongoClient

from domain.consumer import ConsumerSpec
from domain.registry import RegisteredConsumer, Report
from gateway.amqp.nodes import BrokerNodes
from gateway.consuming.thread import ConsumerThread
from gateway.management import DeadLetterGateway, ManagementClient
from gateway.mongo import Store
from services.reconciler import Reconciler
from tests.support.amqp import publish, take, wait_ready
from tests.support.management import management_nodes
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.store import StoreNode
from tests.support.target import Target


@pytest.fixture
def worker(registry: Store, broker: BrokerNode) -> Iterator[Reconciler]:
    """A worker that runs what the registry desires."""
    url = broker.management_url.replace("http://", "http://guest:guest@")
    queues = DeadLetterGateway(ManagementClient(management_nodes(url)))
    one = Reconciler(registry, queues, lambda: ConsumerThread(BrokerNodes.parse(broker.amqp_url)))
    one.start()
    yield one
    one.stop(0)


@pytest.fixture
def create(registry: Store, queue: str) -> Callable[..., RegisteredConsumer]:
    """Creates a consumer of the queue, as the API does."""

    def one(url: str, **fields: Any) -> RegisteredConsumer:
        return registry.consumers.create(ConsumerSpec(queue_name=queue, url=url, **fields))[0]

    return one


def reported(registry: Store, consumer_id: str) -> Report | None:
    reports = [report for beat in registry.heartbeats.live() for report in beat.consumers]
    return next((report for report in reports if report.consumer_id == consumer_id), None)


def wait_state(registry: Store, consumer_id: str, state: str | None) -> None:
    def reached() -> bool:
        report = reported(registry, consumer_id)
        return (report.state if report else None) == state

    wait_until(reached, 15, f"{consumer_id} being reported {state}")


@pytest.mark.usefixtures("worker")
def test_a_worker_applies_created_changed_paused_resumed_and_deleted_consumers(
    registry: Store, channel: BlockingChannel, queue: str, target: Target, create: Callable[..., RegisteredConsumer]
) -> None:
    consumer = create(target.url("/one"))
    wait_state(registry, consumer.id, "running")
    publish(channel, queue, b"1")
    target.wait_for(1)

    changed = registry.consumers.update(consumer.id, consumer.spec.model_copy(update={"url": target.url("/two")}))
    wait_until(lambda: (one := reported(registry, consumer.id)) and one.revision == changed.revision)
    publish(channel, queue, b"2")
    assert target.wait_for(2)[1].path == "/two"

    registry.consumers.set_state(consumer.id, "paused")
    wait_state(registry, consumer.id, None)
    publish(channel, queue, b"3")
    wait_ready(channel, queue, 1)

    registry.consumers.set_state(consumer.id, "enabled")
    target.wait_for(3)
    wait_until(lambda: (one := reported(registry, consumer.id)) and one.delivered == 1)

    registry.consumers.delete(consumer.id)
    wait_state(registry, consumer.id, None)
    publish(channel, queue, b"4")
    wait_ready(channel, queue, 1)
    assert target.count == 3


@pytest.mark.usefixtures("worker")
def test_a_worker_that_suspends_a_consumer_writes_it_down_with_the_reason(
    registry: Store, channel: BlockingChannel, queue: str, target: Target, create: Callable[..., RegisteredConsumer]
) -> None:
    publish(channel, queue, b"body")
    consumer = create(target.url("/status/410"))
    wait_until(lambda: registry.consumers.get(consumer.id).state == "suspended", 15)
    assert "410" in (registry.consumers.get(consumer.id).reason or "")
    wait_ready(channel, queue, 1)
    registry.consumers.set_state(consumer.id, "enabled")
    target.wait_for(2)
    wait_until(lambda: registry.consumers.get(consumer.id).state == "suspended", 15)


@pytest.mark.usefixtures("worker")
def test_a_stored_definition_that_is_not_valid_is_reported_and_the_other_consumers_run(
    registry: Store,
    store: StoreNode,
    channel: BlockingChannel,
    queue: str,
    database: str,
    target: Target,
    create: Callable[..., RegisteredConsumer],
) -> None:
    """Such as one of a later release."""
    broken = create(target.url("/broken"), name="broken")
    wait_state(registry, broken.id, "running")
    with MongoClient[dict[str, Any]](store.uri(database)) as client:
        consumers = client.get_default_database().consumers
        document = consumers.find_one({"_id": broken.id})
        assert document is not None
        changed = document | {"revision": 2, "spec": document["spec"] | {"outcomes": {"retry": ["6xx"]}}}
        consumers.replace_one({"_id": broken.id}, changed)
        create(target.url("/sound"), name="sound")  # which has workers read the registry again
        wait_until(lambda: (one := reported(registry, broken.id)) and one.state == "suspended" and one.revision == 2)
        assert consumers.find_one({"_id": broken.id}) == changed, "a worker of that release still runs it"
    report = reported(registry, broken.id)
    assert report is not None
    assert "unknown rule '6xx'" in (report.reason or "")
    publish(channel, queue, *(str(number) for number in range(20)))
    assert {request.path for request in target.wait_for(20)} == {"/sound"}
    registry.consumers.update(broken.id, broken.spec)
    wait_state(registry, broken.id, "running")


@pytest.mark.usefixtures("worker")
def test_a_queue_of_the_registry_that_comes_later_is_consumed_with_its_own_dead_letter_exchange(
    registry: Store, channel: BlockingChannel, unique_name: str, target: Target
) -> None:
    name = f"{unique_name}-late"
    consumer, _ = registry.consumers.create(ConsumerSpec(queue_name=name, url=target.url("/status/422")))
    wait_state(registry, consumer.id, "waiting")
    channel.queue_declare("grave")
    to_grave = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "grave"}
    channel.queue_declare(name, durable=True, arguments=to_grave)
    wait_state(registry, consumer.id, "running")
    wait_until(lambda: _graves(channel, name), 30)


def _graves(channel: BlockingChannel, queue: str) -> bool:
    """Whether a rejected message of the queue lies in its grave; the worker learns of that within two seconds."""
    publish(channel, queue, b"body")
    try:
        return bool(take(channel, "grave", 1, timeout=1))
    except AssertionError:
        return False


@pytest.mark.usefixtures("worker")
def test_consumers_go_on_while_the_store_is_down_and_are_steered_again_when_it_is_back(
    registry: Store,
    store: StoreNode,
    channel: BlockingChannel,
    queue: str,
    target: Target,
    create: Callable[..., RegisteredConsumer],
) -> None:
    consumer = create(target.url())
    wait_state(registry, consumer.id, "running")
    store.kill()
    publish(channel, queue, *map(str, range(20)))
    target.wait_for(20)
    wait_ready(channel, queue, 0)
    store.start()
    registry.consumers.set_state(consumer.id, "paused")
    wait_state(registry, consumer.id, None)


def test_a_worker_that_stops_says_goodbye(registry: Store, worker: Reconciler) -> None:
    wait_until(lambda: len(registry.heartbeats.live()) == 1)
    assert wait_until(lambda: registry.heartbeats.live()[0].connected)
    worker.stop(0)
    assert registry.heartbeats.live() == []

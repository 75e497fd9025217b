"""The process that publishes service events is killed after it wrote an event, after it published the event, or before
it recorded the publish: the event arrives with the id that was written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.consumer import ConsumerSpec
from gateway.mongo import Store, open_store
from tests.support.amqp import get
from tests.support.mongo_proxy import Fault, MongoProxy
from tests.support.node import BrokerNode
from tests.support.processes import Process, wait_until
from tests.support.proxy import Proxy
from tests.support.store import StoreNode
from tests.support.telling import telling_process
from tests.support.worker import SECRET

pytestmark = pytest.mark.versions

QUEUE = "told"


@pytest.fixture
def registry(store: StoreNode, tmp_path: Path) -> Iterator[Store]:
    """An empty store, as the service opens it."""
    one = open_store(store.uri("events"), SECRET, tmp_path)
    yield one
    one.close()


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    """Yield a list. The processes in it end with the test."""
    started: list[Process] = []
    yield started
    for one in started:
        one.kill()


def bind(broker: BrokerNode) -> None:
    with broker.connect() as connection:
        channel = connection.channel()
        channel.exchange_declare("workerrmq.events", "topic", durable=True)
        channel.queue_declare(QUEUE, durable=True)
        channel.queue_bind(QUEUE, "workerrmq.events", "#")


def no_worker(registry: Store) -> None:
    """Make a condition that holds until the end of the test."""
    registry.consumers.create(ConsumerSpec(queue_name="orders", url="http://127.0.0.1:9/"))


def written(registry: Store) -> list[str]:
    """The ids of the events in the outboxes."""
    return [event.id for condition in registry.conditions.all().values() for event in condition.outbox]


def take(broker: BrokerNode) -> list[str]:
    """The ids of the events that were published."""
    found = []
    with broker.connect() as connection:
        channel = connection.channel()
        while (one := get(channel, QUEUE)) is not None:
            assert one.properties.message_id == json.loads(one.body)["id"]
            found.append(one.properties.message_id)
    return found


def test_an_event_that_was_written_and_not_published_is_published_by_the_next_process(
    registry: Store, store: StoreNode, broker: BrokerNode, tmp_path: Path, processes: list[Process]
) -> None:
    bind(broker)
    no_worker(registry)
    with Proxy(broker.port) as stalled:
        stalled.stall()
        first = telling_process(store.uri("events"), broker, tmp_path, amqp_port=stalled.port)
        processes.append(first)
        first.start()
        ids = wait_until(lambda: written(registry), 30, "the event in the outbox")
        first.kill()
    assert take(broker) == []
    second = telling_process(store.uri("events"), broker, tmp_path)
    processes.append(second)
    second.start()
    wait_until(lambda: not written(registry), 40, "the event being published")
    assert take(broker) == ids


def test_an_event_that_was_published_and_not_noted_comes_again_with_its_id(
    registry: Store, store: StoreNode, broker: BrokerNode, tmp_path: Path, processes: list[Process],
    mongo_proxy: MongoProxy,
) -> None:  # fmt: skip
    bind(broker)
    no_worker(registry)
    uri = store.uri("events").replace(str(store.port), str(mongo_proxy.port))
    # The first update puts the event into the outbox, the second one takes it out.
    mongo_proxy.faults = [Fault("update", "conditions", times=1), Fault("update", "conditions", delay=60)]
    first = telling_process(uri, broker, tmp_path)
    processes.append(first)
    first.start()
    wait_until(lambda: broker.management.get("queues", "/", QUEUE).json().get("messages"), 40, "the event")
    first.kill()
    ids = written(registry)
    assert len(ids) == 1
    second = telling_process(store.uri("events"), broker, tmp_path)
    processes.append(second)
    second.start()
    wait_until(lambda: not written(registry), 40, "the event being published again")
    assert take(broker) == ids * 2


def test_processes_that_are_killed_over_and_over_tell_everything_and_nothing_twice_with_another_id(
    registry: Store, store: StoreNode, broker: BrokerNode, tmp_path: Path, processes: list[Process]
) -> None:
    bind(broker)
    no_worker(registry)
    ids: list[str] = []
    for turn in range(4):
        pair = [telling_process(store.uri("events"), broker, tmp_path) for _ in range(2)]
        for one in pair:
            processes.append(one)
            one.start()
        wanted = turn + 1

        def arrived(wanted: int = wanted) -> bool:
            ids.extend(take(broker))
            return len(set(ids)) >= wanted

        wait_until(arrived, 60, f"{wanted} events")
        for one in pair:
            one.kill()
        for consumer in registry.consumers.outlines():  # every other time there is nothing to deliver, so it has ended
            registry.consumers.set_state(consumer.id, "enabled" if turn % 2 else "paused")
    assert len(set(ids)) == 4
    kinds = [one.rpartition(".")[2] for one in dict.fromkeys(ids)]
    assert kinds == ["begun", "ended", "begun", "ended"]

"""A worker lives through many turns, and through several of each of its other periods."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pymongo import MongoClient

from delivery.periods import Periods
from domain.attempt import Attempt, AttemptFilter
from domain.consumer import ConsumerSpec
from domain.errors import StoreUnavailable
from domain.registry import RegisteredConsumer, Report
from domain.selection import Order
from gateway.amqp.nodes import BrokerNodes
from gateway.consuming.thread import ConsumerThread
from gateway.management import DeadLetterGateway, ManagementClient
from gateway.mongo import Store, open_store
from gateway.mongo.heartbeats import Heartbeats
from services.attempt_writer import AttemptWriter
from services.reconciler import Reconciler
from tests.support.amqp import publish, take
from tests.support.management import management_nodes
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.proxy import Proxy
from tests.support.store import StoreNode
from tests.support.target import Target

NEVER = 3600.0
TURN = 0.1
Work = Callable[..., Reconciler]


@pytest.fixture
def work(registry: Store, broker: BrokerNode) -> Iterator[Work]:
    """Starts workers of quick turns, whose other periods never pass unless a test says so."""
    workers: list[Reconciler] = []

    def start(management_url: str = "", **periods: float) -> Reconciler:
        url = (management_url or broker.management_url).replace("http://", "http://guest:guest@")
        queues = DeadLetterGateway(ManagementClient(management_nodes(url), read_seconds=3.0))
        steering = Periods(**{"turn": TURN, "registry": NEVER, "facts": NEVER, **periods})
        worker = Reconciler(registry, queues, lambda: ConsumerThread(BrokerNodes.parse(broker.amqp_url)), steering)
        workers.append(worker)
        worker.start()
        return worker

    yield start
    for worker in workers:
        worker.stop(0)


def state(registry: Store, consumer: RegisteredConsumer) -> str | None:
    reports: list[Report] = [report for beat in registry.heartbeats.live() for report in beat.consumers]
    return next((report.state for report in reports if report.consumer_id == consumer.id), None)


def wait_state(registry: Store, consumer: RegisteredConsumer, wanted: str | None) -> None:
    wait_until(lambda: state(registry, consumer) == wanted, 20, f"the consumer being {wanted}")


def test_a_registry_whose_version_does_not_change_is_read_again_and_again(
    registry: Store, store: StoreNode, database: str, work: Work, queue: str, target: Target
) -> None:
    consumer, _ = registry.consumers.create(ConsumerSpec(queue_name=queue, url=target.url()))
    work(registry=5 * TURN)
    with MongoClient[dict[str, Any]](store.uri(database)) as client:
        consumers = client.get_default_database()["consumers"]
        for _ in range(3):
            wait_state(registry, consumer, "running")
            consumers.update_one({"_id": consumer.id}, {"$set": {"state": "paused"}})
            wait_state(registry, consumer, None)
            consumers.update_one({"_id": consumer.id}, {"$set": {"state": "enabled"}})


def test_a_queue_that_is_deleted_and_made_again_counts_as_what_it_is_now(
    registry: Store, work: Work, channel: BlockingChannel, queue: str, target: Target
) -> None:
    consumer, _ = registry.consumers.create(ConsumerSpec(queue_name=queue, url=target.url("/status/422")))
    work()
    wait_state(registry, consumer, "running")
    for number, kind in enumerate(("quorum", "classic", "quorum")):
        grave = f"{queue}-grave-{number}"
        channel.queue_declare(grave)
        channel.queue_delete(queue)
        arguments = {"x-queue-type": kind, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": grave}
        channel.queue_declare(queue, durable=True, arguments=arguments)
        wait_until(lambda grave=grave: _reaches(channel, queue, grave), 30, f"{grave} being known")


def _reaches(channel: BlockingChannel, queue: str, grave: str) -> bool:
    """Whether a rejected message of the queue comes to lie there."""
    publish(channel, queue, b"body")
    try:
        return bool(take(channel, grave, 1, timeout=1))
    except AssertionError:
        return False


def test_a_consumer_that_is_resumed_is_judged_by_the_queue_of_now(
    registry: Store, work: Work, channel: BlockingChannel, unique_name: str, target: Target
) -> None:
    name = f"{unique_name}-remade"
    consumer, _ = registry.consumers.create(ConsumerSpec(queue_name=name, url=target.url()))
    work()
    for _ in range(3):
        channel.queue_declare(name, auto_delete=True)
        registry.consumers.set_state(consumer.id, "enabled")
        wait_until(lambda: registry.consumers.get(consumer.id).state == "suspended", 20, "it being refused")
        channel.queue_delete(name)
        channel.queue_declare(name, durable=True)
        registry.consumers.set_state(consumer.id, "enabled")
        wait_state(registry, consumer, "running")
        assert registry.consumers.get(consumer.id).state == "enabled"
        registry.consumers.set_state(consumer.id, "paused")
        wait_state(registry, consumer, None)
        channel.queue_delete(name)


def test_a_worker_is_not_taken_for_dead_while_the_management_api_hangs(
    registry: Store,
    store: StoreNode,
    database: str,
    broker: BrokerNode,
    work: Work,
    unique_name: str,
    target: Target,
    proxy: Callable[[int], Proxy],
) -> None:
    port = int(broker.management_url.rpartition(":")[2].strip("/"))
    way = proxy(port)
    way.stall()
    registry.consumers.create(ConsumerSpec(queue_name=f"{unique_name}-missing", url=target.url()))
    work(broker.management_url.replace(f":{port}", f":{way.port}"), facts_of_unknown=TURN)
    with MongoClient[dict[str, Any]](store.uri(database), tz_aware=True) as client:
        heartbeats = Heartbeats(client.get_default_database(), live_for=1.0)
        wait_until(lambda: way.accepted and heartbeats.count() == 1, 20, "the first heartbeat")
        until = time.monotonic() + 7.0  # two readings that time out
        while time.monotonic() < until:
            assert heartbeats.count() == 1


def test_the_attempt_log_has_the_attempts_in_flight_when_a_worker_stops(
    registry: Store, work: Work, channel: BlockingChannel, queue: str, target: Target
) -> None:
    consumer, _ = registry.consumers.create(ConsumerSpec(queue_name=queue, url=target.url("/hang"), timeout=1))
    worker = work()
    wait_state(registry, consumer, "running")
    publish(channel, queue, b"body")
    target.wait_for(1)
    worker.stop(10)
    found = registry.attempts.find(AttemptFilter(consumer=consumer.spec.name), Order(), 1, 10)
    assert found.total == 1


def attempt(number: int) -> Attempt:
    return Attempt(datetime.now(UTC), "id", "c", "q", f"m{number}", 1, "retried", 500, None, "HTTP 500", 3, None)


def stored(registry: Store) -> list[str]:
    found = registry.attempts.find(AttemptFilter(), Order(), 1, 100)
    assert len(found.items) == found.total
    return sorted(one.message_id for one in found.items)


def test_attempts_outlive_several_outages_of_the_store_and_are_stored_once(
    registry: Store, store: StoreNode, database: str, tmp_path: Path, proxy: Callable[[int], Proxy]
) -> None:
    way = proxy(store.port)
    other = open_store(f"mongodb://127.0.0.1:{way.port}/{database}", "k", tmp_path, deadline=0.3)
    writer = AttemptWriter(other.attempts, at_once=2)
    writer.write([attempt(0)])
    for number in range(1, 10, 3):
        way.stall()  # what is sent now arrives later, though its writer is told otherwise
        for one in range(number, number + 3):
            with pytest.raises(StoreUnavailable):
                writer.write([attempt(one)])
        way.flow()
        wait_until(lambda: _writes(writer), 20, "the attempts being written")
    assert stored(registry) == sorted(f"m{number}" for number in range(10))
    other.close()


def _writes(writer: AttemptWriter) -> bool:
    try:
        writer.write([])
    except StoreUnavailable:
        return False
    return True


def test_attempts_that_are_too_many_are_lost_the_oldest_first_counted_and_logged(
    registry: Store,
    store: StoreNode,
    capsys: pytest.CaptureFixture[str],
) -> None:
    writer = AttemptWriter(registry.attempts, most=3)
    store.kill()
    for number in range(5):
        with pytest.raises(StoreUnavailable):
            writer.write([attempt(number)])
    store.start()
    wait_until(lambda: _writes(writer), 20, "the attempts being written")
    assert stored(registry) == ["m2", "m3", "m4"]
    said = capsys.readouterr()
    assert "attempts_lost" in said.out + said.err

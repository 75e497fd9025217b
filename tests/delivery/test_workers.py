"""Worker processes: two share a queue, and what a killed one held the other delivers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from domain.consumer import ConsumerSpec, RateLimit
from gateway.mongo import Store
from tests.delivery.oracle import publish_ids, wait_delivered
from tests.support.amqp import wait_ready
from tests.support.node import BrokerNode
from tests.support.processes import Process, wait_until
from tests.support.store import StoreNode
from tests.support.target import Target
from tests.support.worker import worker_on

PREFETCH = 50
IDS = [f"m-{number}" for number in range(600)]


@pytest.fixture
def workers(broker: BrokerNode, store: StoreNode, database: str, tmp_path: Path) -> Iterator[list[Process]]:
    """Two worker processes, not yet started."""
    made = [
        worker_on(broker, store.uri(database), tmp_path, f"worker-{number}", DRAIN_TIMEOUT="20") for number in (1, 2)
    ]
    yield made
    for one in made:
        if one.running:
            one.kill()


def running(registry: Store) -> int:
    """How many workers report the one consumer as running."""
    return sum(report.state == "running" for beat in registry.heartbeats.live() for report in beat.consumers)


def begin(registry: Store, workers: list[Process], channel: BlockingChannel, queue: str, target: Target) -> None:
    """Both workers are in the middle of delivering, slowly."""
    registry.consumers.create(ConsumerSpec(queue_name=queue, url=target.url("/slow?seconds=0.1"), prefetch=PREFETCH))
    for worker in workers:
        worker.start()
    wait_until(lambda: running(registry) == 2, 30)
    publish_ids(channel, queue, IDS)
    target.wait_for(100, 30)


def test_the_other_worker_delivers_the_messages_of_a_killed_worker_and_only_those_may_come_twice(
    registry: Store, workers: list[Process], channel: BlockingChannel, queue: str, target: Target
) -> None:
    begin(registry, workers, channel, queue, target)
    os.kill(workers[0].pid, signal.SIGKILL)
    wait_delivered(target, IDS)
    wait_ready(channel, queue, 0)
    wait_until(lambda: len(registry.heartbeats.live()) == 1, 20)
    assert target.count - len(IDS) <= PREFETCH


def test_a_stopping_worker_finishes_its_deliveries_and_repeats_none(
    registry: Store, workers: list[Process], channel: BlockingChannel, queue: str, target: Target
) -> None:
    begin(registry, workers, channel, queue, target)
    workers[0].signal(signal.SIGTERM)
    wait_until(lambda: not workers[0].running, 30)
    assert workers[0].returncode == 0, workers[0].output()
    wait_delivered(target, IDS)
    wait_ready(channel, queue, 0)
    assert target.count == len(IDS)


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)  # it does not matter which
def test_more_deliveries_are_in_flight_than_the_shell_allows_files(
    registry: Store, workers: list[Process], channel: BlockingChannel, queue: str, target: Target
) -> None:
    registry.consumers.create(ConsumerSpec(queue_name=queue, url=target.url("/hold"), prefetch=200))
    publish_ids(channel, queue, IDS[:200])
    workers[0].argv[:0] = ["prlimit", "--nofile=64:4096"]
    workers[0].start()
    wait_until(lambda: target.held == 200, 30)


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)  # the store tells workers of one another, no broker
def test_workers_share_a_rate_limit_and_the_share_of_one_that_dies_goes_to_the_other(
    registry: Store, workers: list[Process], channel: BlockingChannel, queue: str, target: Target
) -> None:
    limit = RateLimit(per_second=40, burst=2)
    spec = ConsumerSpec(queue_name=queue, url=target.url(), prefetch=4, rate_limit=limit)
    consumer = registry.consumers.create(spec)[0]
    for worker in workers:
        worker.start()
    wait_until(lambda: running(registry) == 2, 30)
    ids = [f"m-{number}" for number in range(4000)]  # more than pass until the dead worker is noticed
    publish_ids(channel, queue, ids)
    both = rate(target, 60)
    os.kill(workers[0].pid, signal.SIGKILL)
    wait_until(lambda: registry.heartbeats.count() == 1, 20)
    alone = rate(target, 60)
    assert both <= 44, "a second, of both together"
    assert 24 < alone <= 44, "a second: not half of the limit any more"
    registry.consumers.update(consumer.id, spec.model_copy(update={"rate_limit": None}))
    wait_delivered(target, ids)


def rate(target: Target, count: int) -> float:
    """Requests a second over the next `count`, after those that a change of shares may still have let through."""
    first = target.count + 10
    requests = target.wait_for(first + count, 60)
    return count / (requests[first + count - 1].when - requests[first - 1].when)

"""Worker processes: two share a queue, and what a killed one held the other delivers."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from domain.consumer import ConsumerSpec
from gateway.mongo import Store, open_store
from tests.delivery.oracle import publish_ids, wait_delivered
from tests.support.amqp import wait_ready
from tests.support.node import BrokerNode
from tests.support.processes import Process, wait_until
from tests.support.store import StoreNode
from tests.support.target import Target

_PROJECT = Path(__file__).parents[2]
SECRET = "a secret key for tests"
PREFETCH = 50
IDS = [f"m-{number}" for number in range(600)]


@pytest.fixture
def registry(store: StoreNode, tmp_path: Path) -> Iterator[Store]:
    """An empty store, as the service opens it."""
    one = open_store(store.uri("workers"), SECRET, tmp_path)
    yield one
    one.close()


@pytest.fixture
def workers(broker: BrokerNode, store: StoreNode, tmp_path: Path) -> Iterator[list[Process]]:
    """Two worker processes, not yet started."""
    settings = {
        "PATH": os.environ["PATH"],
        "RABBITMQ_URL": broker.amqp_url,
        "RABBITMQ_MANAGEMENT_URL": broker.management_url,
        "MONGO_URI": store.uri("workers"),
        "SECRET_KEY": SECRET,
        "DATA_DIR": str(tmp_path),
        "TARGET_ALLOW": "127.0.0.0/8",
        "DRAIN_TIMEOUT": "20",
    }
    program = [sys.executable, str(_PROJECT / "WorkerRMQ.py")]
    made = [Process(program, tmp_path / f"worker-{number}.log", settings, tmp_path) for number in (1, 2)]
    yield made
    for one in made:
        if one.running:
            one.kill()


def running(registry: Store) -> int:
    """How many workers report the one consumer as running."""
    return sum(report.state == "running" for beat in registry.heartbeats.live() for report in beat.consumers)


def test_what_a_killed_worker_held_the_other_delivers_and_only_that_may_come_twice(
    registry: Store, workers: list[Process], channel: BlockingChannel, queue: str, target: Target
) -> None:
    registry.consumers.create(ConsumerSpec(queue_name=queue, url=target.url("/slow?seconds=0.1"), prefetch=PREFETCH))
    for worker in workers:
        worker.start()
    wait_until(lambda: running(registry) == 2, 30)
    publish_ids(channel, queue, IDS)
    target.wait_for(100, 30)
    os.kill(workers[0].pid, signal.SIGKILL)
    wait_delivered(target, IDS)
    wait_ready(channel, queue, 0)
    wait_until(lambda: len(registry.heartbeats.live()) == 1, 20)
    assert target.count - len(IDS) <= PREFETCH


def test_a_worker_that_is_told_to_stop_finishes_what_it_holds_and_repeats_nothing(
    registry: Store, workers: list[Process], channel: BlockingChannel, queue: str, target: Target
) -> None:
    registry.consumers.create(ConsumerSpec(queue_name=queue, url=target.url("/slow?seconds=0.1"), prefetch=PREFETCH))
    for worker in workers:
        worker.start()
    wait_until(lambda: running(registry) == 2, 30)
    publish_ids(channel, queue, IDS)
    target.wait_for(100, 30)
    workers[0].signal(signal.SIGTERM)
    wait_until(lambda: not workers[0].running, 30)
    assert workers[0].returncode == 0, workers[0].output()
    wait_delivered(target, IDS)
    wait_ready(channel, queue, 0)
    assert target.count == len(IDS)

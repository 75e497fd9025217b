"""The promise of the whole product, under fire: accepted = delivered ∪ dead-lettered ∪ queued."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from domain.consumer import ConsumerSpec, RetryPolicy
from domain.message import Message, Properties
from gateway.amqp.publisher_thread import PublisherThread
from gateway.mongo import open_store
from tests.support.node import BrokerNode
from tests.support.processes import Process, wait_until
from tests.support.store import StoreNode
from tests.support.target_process import TargetProcess

PROJECT = Path(__file__).parents[2]
PREFETCH = 64
SECRET = "a secret key for tests"


def worker(broker: BrokerNode, store_uri: str, directory: Path) -> Process:
    """The worker process, configured as an operator would."""
    environment = {
        "PATH": os.environ["PATH"],
        "RABBITMQ_URL": broker.amqp_url,
        "RABBITMQ_MANAGEMENT_URL": broker.management_url,
        "MONGO_URI": store_uri,
        "SECRET_KEY": SECRET,
        "DATA_DIR": str(directory),
        "LOG_LEVEL": "error",
        "TARGET_ALLOW": "127.0.0.0/8",
    }
    return Process([sys.executable, str(PROJECT / "WorkerRMQ.py")], directory / "worker.log", environment, directory)


def publish(broker: BrokerNode, queue: str, count: int) -> set[str]:
    """Publish `count` messages of 1 KB; the ids that the broker has confirmed."""
    with broker.connect() as connection:
        connection.channel().queue_declare(queue, durable=True)
    publisher = PublisherThread(broker.amqp_url)
    publisher.start()
    messages = [Message(queue, b"x" * 1024, properties=Properties(message_id=f"msg-{n}")) for n in range(count)]
    results = [result for n in range(0, count, 1000) for result in publisher.publish(messages[n : n + 1000], 60)]
    publisher.stop()
    return {f"msg-{n}" for n, result in enumerate(results) if result is None}


def ids_in(broker: BrokerNode, queue: str) -> Counter[str]:
    """The message ids that wait in a queue; they stay there."""
    found: Counter[str] = Counter()
    with broker.connect() as connection:
        channel = connection.channel()
        while (got := channel.basic_get(queue))[0] is not None:
            found[got[1].message_id] += 1
    return found


@pytest.mark.parametrize("count", [2_000, pytest.param(20_000, marks=[pytest.mark.soak, pytest.mark.timeout(900)])])
def test_no_message_is_lost_when_worker_and_broker_are_killed_and_the_target_fails(
    broker: BrokerNode, store: StoreNode, tmp_path: Path, unique_name: str, count: int
) -> None:
    target = TargetProcess(tmp_path / "target")
    uri = store.uri("faults")
    registry = open_store(uri, SECRET, tmp_path)
    process = worker(broker, uri, tmp_path)
    try:
        accepted = publish(broker, unique_name, count)
        assert len(accepted) == count
        spec = ConsumerSpec(
            queue_name=unique_name,
            url=target.url("/random?fail=0.10&hang=0.01&reset=0.01"),
            prefetch=PREFETCH,
            timeout=2,
            retry=RetryPolicy(schedule=(1, 1, 2, 2, 4)),
        )
        registry.consumers.create(spec)
        process.start()
        for share, victim in ((0.15, "worker"), (0.35, "worker"), (0.55, "broker"), (0.75, "worker")):
            wait_until(lambda share=share: len(target.delivered()) >= share * count, 300, f"{share:.0%} delivered")
            if victim == "worker":
                process.kill()
                process.start()
            else:
                broker.kill()
                broker.start()

        def settled() -> bool:
            dead = ids_in(broker, f"{unique_name}.dlq")
            return accepted <= set(target.delivered()) | set(dead)

        wait_until(settled, 300, "every message delivered or dead-lettered")
        delivered, dead = target.delivered(), ids_in(broker, f"{unique_name}.dlq")
        duplicates = sum(delivered.values()) - len(delivered)
        print(f"{broker.name}: {count} accepted, {len(delivered)} delivered, {len(dead)} dead-lettered, "
              f"{duplicates} delivered more than once")  # fmt: skip
        # Each kill leaves at most what was in flight unsettled, and a copy confirmed without its original acked.
        # (RabbitMQ writes acks to disk in batches, so a kill makes it forget those of its last moments.)
        assert broker.name == "rabbitmq" or duplicates <= 4 * 2 * PREFETCH
    finally:
        process.stop()
        registry.close()
        target.stop()

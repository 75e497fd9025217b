"""The promise of the whole product, under fire: accepted = delivered ∪ dead-lettered ∪ queued."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from domain.consumer import ConsumerSpec, RetryPolicy
from gateway.mongo import open_store
from tests.faults.scene import ids_in, publish
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.store import StoreNode
from tests.support.target_process import TargetProcess
from tests.support.worker import SECRET, worker_on

pytestmark = pytest.mark.versions

PREFETCH = 64


BATCHES = {
    "payload": "envelope",
    "batch": {"maxMessages": 20},
    "concurrency": {"max": 16, "adaptive": True},
}


@pytest.mark.parametrize("fields", [{}, BATCHES], ids=["", "batches"])
@pytest.mark.parametrize("count", [2_000, pytest.param(20_000, marks=[pytest.mark.soak, pytest.mark.timeout(900)])])
def test_no_message_is_lost_when_worker_and_broker_are_killed_and_the_target_fails(
    broker: BrokerNode, store: StoreNode, tmp_path: Path, unique_name: str, count: int, fields: dict[str, Any]
) -> None:
    target = TargetProcess(tmp_path / "target")
    uri = store.uri("faults")
    registry = open_store(uri, SECRET, tmp_path)
    process = worker_on(broker, uri, tmp_path)
    try:
        accepted = publish(broker, unique_name, count)
        assert len(accepted) == count
        spec = ConsumerSpec(
            queue_name=unique_name,
            url=target.url("/random?fail=0.10&hang=0.01&reset=0.01"),
            prefetch=PREFETCH,
            timeout=2,
            retry=RetryPolicy(schedule=(1, 1, 2, 2, 4)),
            **fields,
        )
        registry.consumers.create(spec)
        process.start()
        for share, victim in ((0.15, process), (0.35, process), (0.55, broker), (0.75, process)):
            wait_until(lambda share=share: len(target.delivered()) >= share * count, 300, f"{share:.0%} delivered")
            victim.kill()
            victim.start()

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
        assert broker.name != "embedded" or duplicates <= 4 * 2 * PREFETCH
    finally:
        process.stop()
        registry.close()
        target.stop()

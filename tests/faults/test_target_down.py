"""A target that is down for long, with much to deliver: nothing is given up, and nobody else notices."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.consumer import BreakerPolicy, ConsumerSpec, RetryPolicy
from gateway.mongo import open_store
from tests.faults.scene import ids_in, publish
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.store import StoreNode
from tests.support.target_process import TargetProcess
from tests.support.worker import SECRET, worker_on

PROBES = 40
"""One a second instead of every 30 seconds: the outage is one of twenty minutes."""


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [100_000])
def test_all_messages_that_wait_for_a_target_that_is_down_are_delivered_when_it_is_up(
    broker: BrokerNode, store: StoreNode, tmp_path: Path, unique_name: str, count: int
) -> None:
    down, up = TargetProcess(tmp_path / "down"), TargetProcess(tmp_path / "up")
    other = f"{unique_name}-other"
    uri = store.uri("outage")
    registry = open_store(uri, SECRET, tmp_path)
    process = worker_on(broker, uri, tmp_path)
    retry, breaker = RetryPolicy(schedule=(1, 2, 4)), BreakerPolicy(open_seconds=1)
    try:
        down.answer(503)
        accepted = publish(broker, unique_name, count)
        for queue, target in ((unique_name, down), (other, up)):
            registry.consumers.create(ConsumerSpec(queue_name=queue, url=target.url(), retry=retry, breaker=breaker))
        process.start()
        wait_until(lambda: down.count() > 20, 60, "the breaker opening")
        opened = down.count()
        for batch in range(5):  # while the one is down, the other is served
            published = publish(broker, other, 1000, f"other-{batch}-")
            wait_until(lambda published=published: published <= set(up.delivered()), 30, "the other target served")
        wait_until(lambda: down.count() >= opened + PROBES, 120, f"{PROBES} probes")
        assert down.count() <= opened + 64 + PROBES + 5, "requests to a target that is down"
        assert not ids_in(broker, f"{unique_name}.dlq")
        down.answer(200)
        wait_until(lambda: accepted <= set(down.delivered()), 300, "all delivered")
        assert not ids_in(broker, f"{unique_name}.dlq")
        assert sum(down.delivered().values()) == count, "none twice"
    finally:
        process.stop()
        registry.close()
        down.stop()
        up.stop()

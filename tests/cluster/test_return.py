"""The last hop of a retry in a cluster: a queue whose node is suspended or down delays no other's retries."""

from __future__ import annotations

import pytest

from delivery.periods import Periods
from tests.delivery.oracle import publish_ids, wait_delivered
from tests.delivery.running import Consumers
from tests.support.amqp import ready
from tests.support.cluster import Cluster
from tests.support.processes import wait_until
from tests.support.target import Target
from tests.support.target_http import Request

pytestmark = pytest.mark.xdist_group("cluster")

MANY = 300
"""Retries of the queue that cannot be used: more than a worker holds at once (256)."""


@pytest.mark.soak
@pytest.mark.parametrize("cluster", ["rabbitmq", "rabbitmq4"], indirect=True)
@pytest.mark.parametrize("fault", ["suspended", "killed"])
@pytest.mark.timeout(600)
def test_retries_of_a_queue_whose_node_fails_delay_no_other_and_come_back_with_the_node(
    cluster: Cluster, target: Target, fault: str
) -> None:
    failed: set[str] = set()

    def answer(request: Request) -> int:
        fails = request.id.startswith("there") and request.id not in failed
        failed.add(request.id)
        return 500 if fails else 200

    target.answer = answer
    here, _, there = cluster.nodes
    for node, name in ((here, "here"), (there, "there")):
        with node.connect() as connection:
            connection.channel().queue_declare(name, durable=True, arguments={"x-queue-type": "classic"})
    consumers = Consumers(here.amqp_url, periods=Periods(return_again=3, returned=1))
    try:
        with here.connect(heartbeat=0) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            ids = [f"{kind}-{number}" for number in range(MANY) for kind in ("there", "fine")]
            consumers.deliver("there", target.url("/ok"), retry={"schedule": (12,), "jitter": 0}, prefetch=2 * MANY)
            consumers.deliver("here", target.url("/ok"), retry={"schedule": (14,), "jitter": 0})
            publish_ids(channel, "there", ids)
            wait_until(lambda: (one := consumers.report("there")) and one.retried == MANY, 60)
            if fault == "suspended":
                there.suspend()
            else:
                there.kill()
            others = [f"there-also-{number}" for number in range(40)]
            publish_ids(channel, "here", [one for other in others for one in (other, other.replace("there", "fine"))])
            wait_delivered(target, others, 60)
            assert not {f"there-{number}" for number in range(MANY)} & set(target.delivered())
            assert ready(channel, "workerrmq.orphans") == 0
            if fault == "suspended":
                there.resume()
            else:
                cluster.revive(there)
            wait_delivered(target, ids, 180)
            assert ready(channel, "workerrmq.orphans") == 0
    finally:
        consumers.end()

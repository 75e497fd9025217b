"""The last hop of a retry in a cluster: a queue whose node is suspended or down delays no other's messages."""

from __future__ import annotations

import time

import pytest

from delivery.periods import Periods
from gateway.amqp.topology import DUE, OVERDUE
from tests.delivery.due import MANY, ids_of, make_due, takers
from tests.delivery.oracle import wait_delivered
from tests.delivery.running import Consumers
from tests.support.amqp import publish, ready
from tests.support.cluster import Cluster
from tests.support.processes import wait_until
from tests.support.target import Target

pytestmark = pytest.mark.xdist_group("cluster")

KINDS = {"classic": {}, "quorum": {"x-quorum-initial-group-size": 1}}
"""Arguments by which the queue is on its node only."""


@pytest.mark.soak
@pytest.mark.parametrize("cluster", ["rabbitmq", "rabbitmq4"], indirect=True)
@pytest.mark.parametrize("fault", ["suspended", "killed"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.timeout(600)
def test_retries_of_a_queue_whose_node_fails_delay_no_other_and_come_back_with_the_node(
    cluster: Cluster, target: Target, kind: str, fault: str
) -> None:
    here, _, there = cluster.nodes
    for node, name, type_ in ((here, "here", "classic"), (there, "there", kind)):
        with node.connect() as connection:
            arguments = {"x-queue-type": type_, **KINDS[type_]}
            connection.channel().queue_declare(name, durable=True, arguments=arguments)
    consumers = Consumers(here.amqp_url, periods=Periods(return_again=10, returned=1))
    try:
        with here.connect(heartbeat=0) as connection:
            channel = connection.channel()
            for name in ("here", "there"):
                consumers.deliver(name, target.url("/ok"))
            wait_until(lambda: takers(channel))
            if fault == "suspended":
                there.suspend()
            else:
                there.kill()
            ids, others = ids_of("there", MANY), ids_of("here", 40)
            make_due(channel, "there", ids)
            make_due(channel, "here", others)
        wait_delivered(target, others, 60)
        assert not set(ids) & set(target.delivered())
        cluster.revive(there)
        wait_delivered(target, ids, 180)
        with here.connect(heartbeat=0) as connection:  # the other may be lost: 3.10 may pause this node for seconds
            channel = connection.channel()
            wait_until(lambda: ready(channel, DUE) + ready(channel, OVERDUE) == 0, 60)
            assert ready(channel, "workerrmq.orphans") == 0
        assert max(target.delivered().values()) <= 3, "copies that were confirmed late are few"
    finally:
        consumers.end()


@pytest.mark.soak
@pytest.mark.parametrize("cluster", ["rabbitmq", "rabbitmq4"], indirect=True)
@pytest.mark.timeout(600)
def test_retries_of_a_queue_whose_node_hangs_delay_no_dead_letter_of_another_consumer(
    cluster: Cluster, target: Target
) -> None:
    here, _, there = cluster.nodes
    with there.connect() as connection:
        connection.channel().queue_declare(
            "there", durable=True, arguments={"x-queue-type": "quorum", **KINDS["quorum"]}
        )
    consumers = Consumers(here.amqp_url, periods=Periods(return_again=1, returned=4, confirm=5))
    try:
        with here.connect(heartbeat=0) as connection:
            channel = connection.channel()
            for name in ("here", "here.dlq"):
                channel.queue_declare(name, durable=True, arguments={"x-queue-type": "classic"})
            consumers.deliver("here", target.url("/status/422"))
            wait_until(lambda: takers(channel))
            there.suspend()
            make_due(channel, "there", ids_of("there", 100))
            refused, count, until = 0, 0, time.monotonic() + 40  # for several retries that the queue does not confirm

            def dead_lettered() -> bool:
                nonlocal refused
                report = consumers.report("here")
                refused = max(refused, report.refused_copies if report else 0)
                return ready(channel, "here.dlq") == count

            while time.monotonic() < until:
                count += 1
                publish(channel, "here", b"body", message_id=f"here-{count}")
                wait_until(dead_lettered, 60)
            assert ready(channel, OVERDUE)
        assert refused == 0
    finally:
        consumers.end()
        cluster.revive(there)

"""A quorum queue whose leader's node hangs delays no message to another queue."""

from __future__ import annotations

from itertools import count

import pytest

from delivery.periods import Periods
from domain.message import Message
from gateway.amqp.outlet import ChannelPeriods
from tests.cluster.test_refused_channels import declare, publish, publishing
from tests.delivery.oracle import publish_ids
from tests.delivery.running import Consumers
from tests.support.amqp import ready
from tests.support.cluster import Cluster
from tests.support.processes import wait_until
from tests.support.target import Target

pytestmark = pytest.mark.xdist_group("cluster")


@pytest.mark.parametrize("known", [True, False], ids=["published-before", "new"])
@pytest.mark.parametrize("cluster", ["rabbitmq", "rabbitmq4"], indirect=True)
def test_publishing_to_other_queues_goes_on_while_the_leader_of_a_quorum_queue_hangs(
    cluster: Cluster, known: bool
) -> None:
    """RabbitMQ notices the hanging node after ten seconds here, by default after a minute. Until then 4.0.5 stops a
    channel that publishes to the queue for the first time."""
    node, leader, _ = cluster.nodes
    declare(leader, "silent", x_queue_type="quorum")
    declare(node, "fine")
    with publishing(node, ChannelPeriods(silence=0.2)) as publisher:
        if known:
            assert publish(publisher, "silent") is None
        leader.suspend()
        stuck = publisher.publish([Message("silent", b"body")] * 40, 30)
        wait_until(lambda: publisher.publish([Message("fine", b"body")], 1).result() == [None], 5)
        for _ in range(20):
            assert publisher.publish([Message("fine", b"body")] * 10, 2).result() == [None] * 10
            publisher.publish([Message("silent", b"body")], 1)
        cluster.revive(leader)
        stuck.result()
        wait_until(lambda: publish(publisher, "silent") is None, 60)


@pytest.mark.parametrize("cluster", ["rabbitmq", "rabbitmq4"], indirect=True)
def test_dead_letters_go_on_while_the_leader_of_another_dead_letter_queue_hangs(
    cluster: Cluster, target: Target
) -> None:
    node, leader, _ = cluster.nodes
    declare(leader, "silent.dlq", x_queue_type="quorum")
    for queue in ("silent", "fine", "fine.dlq"):
        declare(node, queue)
    consumers = Consumers(node.amqp_url, periods=Periods(confirm=5))
    try:
        for queue in ("silent", "fine"):
            consumers.deliver(queue, target.url("/status/422"), prefetch=50)
        with node.connect(heartbeat=0) as connection:
            channel = connection.channel()
            leader.suspend()
            publish_ids(channel, "silent", [f"silent-{number}" for number in range(40)])
            numbers = count()

            def dead_lettered() -> bool:
                """Whether ten are; publish one more. The first may wait behind those of the other queue."""
                publish_ids(channel, "fine", [f"fine-{next(numbers)}"])
                return ready(channel, "fine.dlq") >= 10

            wait_until(dead_lettered, 30)
            assert cluster.running(node) == 3, "the hanging node was noticed, so this shows nothing"
        cluster.revive(leader)
        published = next(numbers)
        with node.connect(heartbeat=0) as connection:
            channel = connection.channel()
            wait_until(lambda: ready(channel, "fine.dlq") >= published and ready(channel, "silent.dlq") >= 40, 120)
    finally:
        consumers.end()

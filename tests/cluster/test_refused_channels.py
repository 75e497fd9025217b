"""Publishing goes on although RabbitMQ refuses messages on one channel, or never confirms them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from domain.errors import PublishRefused, PublishUnconfirmed, WorkerError
from domain.message import Message
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.outlet import ChannelPeriods
from gateway.amqp.publisher_thread import PublisherThread
from tests.support.cluster import Cluster
from tests.support.processes import wait_until
from tests.support.rabbitmq import RabbitNode

pytestmark = pytest.mark.xdist_group("cluster")


@contextmanager
def publishing(node: RabbitNode, periods: ChannelPeriods) -> Iterator[PublisherThread]:
    """A publisher that is connected to one node; it ends with the block."""
    publisher = PublisherThread(BrokerNodes.parse(node.amqp_url), channel_periods=periods)
    publisher.start()
    try:
        wait_until(lambda: publisher.connected, 20)
        yield publisher
    finally:
        publisher.stop(0)


def declare(node: RabbitNode, queue: str, **arguments: object) -> None:
    with node.connect() as connection:
        given = {name.replace("_", "-"): value for name, value in arguments.items()}
        connection.channel().queue_declare(queue, durable=True, arguments=given)


def publish(publisher: PublisherThread, queue: str) -> WorkerError | None:
    [result] = publisher.publish([Message(queue, b"body")], 10).result()
    return result


@pytest.mark.parametrize("cluster", ["rabbitmq"], indirect=True)
def test_a_quorum_queue_is_published_to_as_soon_as_it_has_a_new_leader(cluster: Cluster) -> None:
    """RabbitMQ 3.10 refuses all messages on a channel that first published to the queue before that, until the killed
    node is back."""
    leader, follower, suspended = cluster.nodes
    declare(leader, "orders", x_queue_type="quorum")
    with publishing(follower, ChannelPeriods(renewal=0.2)) as publisher:
        suspended.suspend()  # so there is no majority, and no election, when the leader dies
        leader.kill()
        assert isinstance(wait_until(lambda: publish(publisher, "orders")), PublishRefused)
        suspended.resume()
        wait_until(lambda: publish(publisher, "orders") is None, 20)
        assert not leader.process.running


@pytest.mark.parametrize("cluster", ["rabbitmq"], indirect=True)
def test_a_message_that_is_never_confirmed_does_not_keep_its_channel_open(cluster: Cluster) -> None:
    node, *others = cluster.nodes
    declare(node, "orders", x_queue_type="quorum")
    declare(node, "full", x_queue_type="classic", x_max_length=1, x_overflow="reject-publish")
    with publishing(node, ChannelPeriods(renewal=0.1, drain=1.0)) as publisher:
        assert publish(publisher, "orders") is None
        assert publish(publisher, "full") is None
        for one in others:
            one.suspend()
        stuck = publisher.publish([Message("orders", b"body")], 60)
        assert isinstance(publish(publisher, "full"), PublishRefused)
        [result] = stuck.result(20)
        for one in others:
            one.resume()
        assert isinstance(result, PublishUnconfirmed)
        assert "replaced" in result.detail
        wait_until(lambda: publish(publisher, "orders") is None, 20)

"""A queue of the service that RabbitMQ cannot recover: it closes each connection that consumes from it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pika.exceptions import ChannelClosedByBroker

from delivery.periods import Periods
from gateway.amqp.topology import DUE
from tests.delivery.oracle import publish_ids, wait_delivered
from tests.delivery.running import Consumers
from tests.support.processes import wait_until
from tests.support.programs import unavailable
from tests.support.rabbitmq import RabbitNode
from tests.support.rabbitmq_programs import RABBITMQ
from tests.support.server import running
from tests.support.target import Target

IDS = [f"m-{number}" for number in range(100)]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RabbitNode]:
    if RABBITMQ.missing:
        unavailable("RABBITMQ", RABBITMQ.missing)
    with running(RabbitNode(tmp_path / "node", RABBITMQ)) as one:
        yield one


def test_deliveries_go_on_if_the_queue_of_due_retries_is_lost(node: RabbitNode, tmp_path: Path, target: Target) -> None:
    """As after a kill -9 that left the name of a new quorum queue, but not its directory."""
    with node.connect() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("q", durable=True)
        publish_ids(channel, "q", IDS)
    consumers = Consumers(node.amqp_url, periods=Periods(look_again=1.0))
    try:
        consumers.deliver("q", target.url("/slow?seconds=0.3"), prefetch=5)
        wait_until(lambda: directories(tmp_path) and consumers_of_due(node) == 1, 20, "the queue of due retries")
        node.kill()
        for directory in directories(tmp_path):
            shutil.rmtree(directory)
        node.start()
        wait_delivered(target, IDS)
        wait_until(lambda: "delete the queue" in reason(consumers), 20, "the reason")
        with node.connect() as connection:
            connection.channel().queue_delete(DUE)
        wait_until(lambda: consumers_of_due(node) == 1, 30, "the queue being consumed again")
        wait_until(lambda: reason(consumers) == "", 20, "no reason")
    finally:
        consumers.end(5)


def reason(consumers: Consumers) -> str:
    report = consumers.report("q")
    return report.reason or "" if report else ""


def directories(place: Path) -> list[Path]:
    """Return the directories in which the node stores the queue of due retries."""
    return [one.parent for one in place.rglob("config") if DUE.encode() in one.read_bytes()]


def consumers_of_due(node: RabbitNode) -> int:
    """Return the number of consumers of the queue of due retries; 0 without the queue."""
    with node.connect() as connection:
        try:
            return int(connection.channel().queue_declare(DUE, passive=True).method.consumer_count)
        except ChannelClosedByBroker:
            return 0

"""A quorum queue that RabbitMQ cannot recover: it closes each connection that consumes from it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pika.exceptions import ChannelClosedByBroker

from delivery.periods import Periods
from domain.errors import PublishRefused, PublishUnconfirmed, Unroutable
from domain.message import Message
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.outlet import ChannelPeriods
from gateway.amqp.publisher_thread import PublisherThread
from gateway.amqp.topology import DUE
from tests.delivery.oracle import publish_ids, wait_delivered
from tests.delivery.running import Consumers
from tests.support.processes import wait_until
from tests.support.programs import unavailable
from tests.support.rabbitmq import RabbitNode
from tests.support.rabbitmq_programs import RABBITMQ, RABBITMQ4
from tests.support.server import running
from tests.support.target import Target

IDS = {name: [f"{name}-{number}" for number in range(60)] for name in ("q", "r", "s")}
LOST = "lost-one", "lost-two"
QUORUM = {"x-queue-type": "quorum"}


@pytest.fixture(params=[RABBITMQ, RABBITMQ4], ids=lambda programs: programs.name)
def node(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[RabbitNode]:
    if request.param.missing:
        unavailable(request.param.name.upper(), request.param.missing)
    with running(RabbitNode(tmp_path / "node", request.param)) as one:
        yield one


slow_on_4 = pytest.mark.parametrize(
    "node",
    [RABBITMQ, pytest.param(RABBITMQ4, marks=[pytest.mark.soak, pytest.mark.timeout(600)])],  # 65 s for each loss
    ids=lambda programs: programs.name,
    indirect=True,
)


@slow_on_4
def test_deliveries_go_on_if_the_queue_of_due_retries_is_lost(node: RabbitNode, target: Target) -> None:
    declare_and_publish(node, "q")
    consumers = Consumers(node.amqp_url, periods=Periods(look_again=1.0, return_again=1.0))
    try:
        consumers.deliver("q", target.url("/slow?seconds=0.3"), prefetch=5)
        wait_until(lambda: directories(node, DUE) and consumers_of(node, DUE) == 1, 20, "the queue of due retries")
        lose(node, DUE)
        wait_delivered(target, IDS["q"])
        wait_until(lambda: "delete it" in reason(consumers, "q"), patience(node), "the reason")
        with node.connect() as connection:
            connection.channel().queue_delete(DUE)
        wait_until(lambda: consumers_of(node, DUE) == 1, 30, "the queue being consumed again")
        wait_until(lambda: reason(consumers, "q") == "", 20, "no reason")
    finally:
        consumers.end(5)


@slow_on_4
def test_deliveries_go_on_if_queues_of_consumers_are_lost(node: RabbitNode, target: Target) -> None:
    """Two lost ones among five: they close the connection of all consumers a few times, and then their own."""
    declare_and_publish(node, "q", "r", "s")
    with node.connect() as connection:
        for name in LOST:
            connection.channel().queue_declare(name, durable=True, arguments=QUORUM)
    consumers = Consumers(node.amqp_url, periods=Periods(look_again=1.0, return_again=1.0))
    try:
        for name in (*IDS, *LOST):
            consumers.deliver(name, target.url("/slow?seconds=0.3"), prefetch=5)
        wait_until(lambda: all(directories(node, name) and consumers_of(node, name) for name in LOST), 20)
        lose(node, *LOST)
        for ids in IDS.values():
            wait_delivered(target, ids)
        for name in LOST:
            wait_until(lambda name=name: "delete it" in reason(consumers, name), patience(node), name)  # type: ignore[misc]
        losses = consumers.thread.snapshot().losses
        if node.name == "rabbitmq4":  # it closes the connection once more, for the subscriptions without an answer
            wait_until(lambda: consumers.thread.snapshot().losses > losses, patience(node))
            losses = consumers.thread.snapshot().losses
        consumers.remove(LOST[0])
        consumers.run(LOST[0], target.url())
        consumers.wait(LOST[0], "waiting", "starting", revision=2, timeout=patience(node))
        wait_until(lambda: "delete it" in reason(consumers, LOST[0]), patience(node), "the reason of the new consumer")
        time.sleep(5)  # several times `return_again`
        assert all("delete it" in reason(consumers, name) for name in LOST)
        assert consumers.thread.snapshot().losses == losses, "the connection of the others was closed again"
        assert not any(reason(consumers, name) for name in IDS)
        with node.connect() as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            for name in LOST:
                channel.queue_delete(name)
                channel.queue_declare(name, durable=True, arguments=QUORUM)
                publish_ids(channel, name, [f"{name}-again"])
        wait_delivered(target, [f"{name}-again" for name in LOST])
        wait_until(lambda: not any(reason(consumers, name) for name in (*IDS, *LOST)), 20, "no reason")
    finally:
        consumers.end(5)


def test_a_lost_queue_delays_no_message_to_another_queue(node: RabbitNode) -> None:
    """RabbitMQ 4.0.5 stops a channel that publishes to it for 65 s at each message."""
    many = [f"fine-{number}" for number in range(20)]
    with node.connect() as connection:
        for name in ("fine", *many):
            connection.channel().queue_declare(name, durable=True, arguments=QUORUM if name == "fine-0" else None)
        connection.channel().queue_declare(LOST[0], durable=True, arguments=QUORUM)
    time.sleep(4)  # so that the node keeps fine-0; see Standing
    lose(node, LOST[0])
    publisher = PublisherThread(BrokerNodes.parse(node.amqp_url), channel_periods=ChannelPeriods(silence=0.2))
    publisher.start()
    try:
        wait_until(lambda: publisher.connected, 20)
        before = [publisher.publish([Message(name, b"body")], 20) for name in many]
        to_lost = publisher.publish([Message(LOST[0], b"body")] * 40, 20)
        behind = publisher.publish([Message(name, b"body") for name in many] * 5, 20)
        for number in range(10):
            wait_until(lambda: publisher.publish([Message("fine", b"body")], 2).result() == [None], 10)
            if number:  # the first may wait until the others have left its channel
                messages = [Message(name, b"body") for name in ("fine", *many)] * 10
                assert publisher.publish(messages, 5).result() == [None] * len(messages)
            one_more = publisher.publish([Message(LOST[0], b"body")], 1)
        assert None not in to_lost.result()
        assert all(isinstance(one.result()[0], PublishUnconfirmed | None) for one in before)
        assert len(behind.result()) == 100
        assert isinstance(one_more.result()[0], PublishRefused | PublishUnconfirmed | Unroutable)
    finally:
        publisher.stop(0)


def patience(node: RabbitNode) -> float:
    """Return the time in which the node closes all connections that consume from a lost queue, in seconds."""
    return 20 if node.name == "rabbitmq" else 200


def declare_and_publish(node: RabbitNode, *names: str) -> None:
    with node.connect() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for name in names:
            channel.queue_declare(name, durable=True)
            publish_ids(channel, name, IDS[name])


def lose(node: RabbitNode, *names: str) -> None:
    """Restart the node, as after a kill -9 that left the name of a new quorum queue, but not its directory."""
    node.kill()
    for name in names:
        for directory in directories(node, name):
            shutil.rmtree(directory)
    node.start()


def directories(node: RabbitNode, name: str) -> list[Path]:
    """Return the directories in which the node stores a quorum queue."""
    return [one.parent for one in node.data.rglob("config") if name.encode() in one.read_bytes()]


def reason(consumers: Consumers, name: str) -> str:
    report = consumers.report(name)
    return report.reason or "" if report else ""


def consumers_of(node: RabbitNode, name: str) -> int:
    """Return the number of consumers of a queue; 0 without the queue."""
    with node.connect() as connection:
        try:
            return int(connection.channel().queue_declare(name, passive=True).method.consumer_count)
        except ChannelClosedByBroker:
            return 0

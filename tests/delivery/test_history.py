"""The history of real queues and consumers, while workers restart. The tests pass the times of the measurements."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from domain.consumer import ConsumerSpec
from domain.history import HistoryDetails, Key
from domain.overview import QueueOutline
from gateway.management import ManagementClient, QueueGateway
from gateway.mongo import Store
from services.history import Histories, Recorder
from services.reconciler import Reconciler
from services.service_events import EventPeriods
from tests.support.amqp import publish
from tests.support.management import management_nodes
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.target import Target
from tests.support.telling import telling

pytestmark = pytest.mark.versions


def delivered(registry: Store, consumer: str) -> int:
    """Return what the live workers report."""
    beats = registry.heartbeats.live()
    return sum(report.delivered for beat in beats for report in beat.consumers if report.consumer_id == consumer)


def test_a_worker_restarts_and_its_deliveries_and_the_queue_s_traffic_are_counted_once(
    registry: Store, run_worker: Callable[[], Reconciler], channel: BlockingChannel, queue: str, target: Target,
    broker: BrokerNode,
) -> None:  # fmt: skip
    """Minute 1: 30 messages. 2: the worker restarts, 12 messages. 3 and 4: nobody measures, 12 messages. 5: 6."""
    began = (time.time() - 1800) // 60 * 60  # the store removes what is more than an hour old
    began = max(began, (began + 330) // 7200 * 7200)  # so all of it is in one entry of a week's series
    gateway = QueueGateway(ManagementClient(management_nodes(broker.management_url)))
    recorder = Recorder(registry.history)
    consumer = registry.consumers.create(ConsumerSpec(queue_name=queue, url=target.url("/status/200")))[0].id
    worker = run_worker()
    in_all = 0

    def seen() -> QueueOutline:
        return next(one for one in gateway.outlines() if one.name == queue)

    def send(count: int, by_this_worker: int) -> None:
        nonlocal in_all
        in_all += count
        for _ in range(count):
            publish(channel, queue, b"body")
        wait_until(lambda: delivered(registry, consumer) == by_this_worker, 30, "the deliveries being reported")
        wait_until(lambda: seen().counted == (in_all,) * 3 and not seen().unacked, 30, "RabbitMQ counting them")

    def measure(second: int) -> None:
        recorder.record(began + second, registry.heartbeats.live(), gateway.outlines())

    wait_until(lambda: registry.heartbeats.live() and registry.heartbeats.live()[0].consumers, 20, "the report")
    measure(0)
    measure(30)
    send(30, 30)
    measure(60)
    measure(90)
    worker.stop(10)
    measure(120)
    run_worker()
    send(12, 12)
    measure(150)
    send(12, 24)
    measure(300)
    send(6, 30)
    measure(330)

    def history(key: Key) -> HistoryDetails:
        return Histories(registry.history, clock=lambda: began + 330).of(key, "hour")

    of_queue, of_consumer = history(Key("queue", queue)).series, history(Key("consumer", consumer)).series
    assert of_consumer["deliveredRate"] == [0.0, 0.5, 0.4, None, None, 0.2]
    assert of_consumer["retriedRate"] == [0.0, 0.0, 0.0, None, None, 0.0]
    assert of_queue["publishRate"] == of_queue["ackRate"] == [0.0, 0.5, 0.2, None, None, 0.2]
    assert of_queue["ready"] == [0.0, 0.0, 0.0, None, None, 0.0]
    [week] = Histories(registry.history, clock=lambda: began + 330).of(Key("queue", queue), "week").series["ackRate"]
    assert week == round(48 / 180, 3)


def test_failures_and_the_depth_are_recorded_by_the_process_that_observes(
    registry: Store, run_worker: Callable[[], Reconciler], channel: BlockingChannel, queue: str, target: Target,
    broker: BrokerNode,
) -> None:  # fmt: skip
    channel.queue_declare("deep", durable=True)
    for _ in range(3):
        publish(channel, "deep", b"body")
    consumer = registry.consumers.create(ConsumerSpec(queue_name=queue, url=target.url("/status/400")))[0].id
    observers = [
        telling(registry, broker.amqp_url, broker.management_url, every=0.5, periods=EventPeriods(turn=0.2, lease=2.0))
        for _ in range(2)
    ]
    for one in observers:
        one.start()
    try:
        run_worker()
        wait_until(lambda: registry.history.of(Key("consumer", consumer), "day", time.time()), 30, "a measurement")
        for _ in range(4):
            publish(channel, queue, b"body")

        def counted() -> tuple[int, ...]:
            [bucket] = registry.history.of(Key("consumer", consumer), "week", time.time()).values()
            return bucket.counts

        wait_until(lambda: counted()[2:3] == (4,), 30, "the dead letters")
        observers[0].stop(10)  # the other one continues
        publish(channel, queue, b"body")
        wait_until(lambda: counted()[2:3] == (5,), 30, "another dead letter")
        [deep] = registry.history.of(Key("queue", "deep"), "week", time.time()).values()
        assert deep.peaks == (3, 0)
    finally:
        for one in observers:
            one.stop(10)

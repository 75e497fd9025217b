"""The window of due retries: many at once, places that cannot be used, answers that come late."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from delivery.periods import Periods
from delivery.scheduled import waiting
from domain.message import Message, Properties
from gateway.amqp.link import Link
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.standing import Standing
from gateway.amqp.topology import DUE, ORPHANS, OVERDUE
from gateway.loop import Loop
from tests.delivery.due import MANY, ids_of, make_due, takers
from tests.delivery.frames import ACK, QUEUE_DECLARE, FrameCounter
from tests.delivery.oracle import left
from tests.delivery.running import Consumers
from tests.delivery.test_acks import unacked
from tests.delivery.test_loop import wait_done
from tests.support.amqp import ready, wait_ready
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.proxy import Proxy
from tests.support.target import Target

pytestmark = pytest.mark.versions

MakeConsumers = Callable[..., Consumers]
ALL = dict.fromkeys(("configure", "write", "read"), ".*")


@pytest.fixture
def plain(broker: BrokerNode) -> Iterator[BlockingChannel]:
    """A channel without confirms, to publish many messages quickly."""
    connection = broker.connect(heartbeat=0)
    yield connection.channel()
    with suppress(pika.exceptions.AMQPError):  # a test may have closed it
        connection.close()


@pytest.fixture
def consuming(
    make_consumers: MakeConsumers, channel: BlockingChannel, queue: str, counted_url: str, target: Target
) -> Consumers:
    """A thread that takes due retries, by way of the counter, with a consumer of `queue`. It checks the levels at most
    once in a test, however long the test takes."""
    consumers = make_consumers(counted_url, periods=Periods(doubt_again=60))
    wait_consuming(consumers, channel, queue, target)
    return consumers


def make_early(
    channel: BlockingChannel, seconds: float, keys: list[str], exchange: str = "", body: bytes = b"body"
) -> None:
    """Publish scheduled messages that left the levels so many seconds before they are due."""
    due = time.time() + seconds
    for key in keys:
        headers = waiting(Message(key, body, exchange, Properties(message_id=key)), due).properties.headers
        channel.basic_publish(DUE, key, body, pika.BasicProperties(message_id=key, headers=headers, delivery_mode=2))


def wait_consuming(consumers: Consumers, channel: BlockingChannel, queue: str, target: Target) -> None:
    """Run a consumer, and wait until the thread takes due retries."""
    consumers.deliver(queue, target.url("/ok"))
    wait_until(lambda: takers(channel))


def acks(broker: BrokerNode) -> int:
    """Return how many due retries have been acked, as the broker counts them."""
    statistics = broker.management.get("queues", "/", DUE).json().get("message_stats", {})
    return int(statistics.get("ack", 0))


def test_many_due_retries_are_acked_by_few_frames(
    consuming: Consumers,
    channel: BlockingChannel,
    plain: BlockingChannel,
    unique_name: str,
    broker: BrokerNode,
    counter: FrameCounter,
) -> None:
    destination = f"{unique_name}-to"
    channel.queue_declare(destination, durable=True)
    before, acked = counter.sent[ACK], acks(broker)
    make_due(plain, destination, ids_of("m", MANY))
    wait_ready(channel, destination, MANY, 30)
    wait_until(lambda: acks(broker) == acked + MANY, 20)
    consuming.end()
    assert ready(channel, DUE) == 0, "all were acked"
    assert counter.sent[ACK] - before < MANY / 3


@pytest.mark.parametrize("fault", ["may not be declared", "is full"])
def test_more_refused_retries_than_the_window_hold_up_no_others_although_nothing_can_store_them(
    make_consumers: MakeConsumers,
    channel: BlockingChannel,
    plain: BlockingChannel,
    queue: str,
    unique_name: str,
    broker: BrokerNode,
    target: Target,
    fault: str,
) -> None:
    full = f"{unique_name}-full"
    limit = {"pattern": f"^{full}$", "definition": {"max-length": 0, "overflow": "reject-publish"}}
    assert broker.management.put("policies", "/", "full", body={**limit, "apply-to": "queues"}).ok
    channel.queue_declare(full, durable=True)
    wait_until(lambda: refuses(channel, full))
    if fault == "is full":
        body = {"pattern": f"^{OVERDUE}$", "definition": {"max-length": 0}, "apply-to": "queues"}
        assert broker.management.put("policies", "/", "overdue", body=body).ok
    else:
        configure = {"configure": "^(?!workerrmq.overdue).*"}
        assert broker.management.put("permissions", "/", "guest", body={**ALL, **configure}).ok
    try:
        consumers = make_consumers(periods=Periods(return_again=2, declare_again=1, requeue=0.5))
        wait_consuming(consumers, channel, queue, target)
        ids, others = ids_of("full", MANY), ids_of("other", 40)
        make_due(plain, full, ids)
        make_due(plain, queue, others)
        wait_until(lambda: set(others) <= set(target.delivered()), 30)
        reason = wait_until(lambda: (one := consumers.report(queue)) and one.reason, 20)
        assert OVERDUE in reason
    finally:
        assert broker.management.put("permissions", "/", "guest", body=ALL).ok
        if fault == "is full":
            assert broker.management.delete("policies", "/", "overdue").ok
        assert broker.management.delete("policies", "/", "full").ok
    wait_until(lambda: ready(channel, full) >= MANY, 60)
    wait_until(lambda: (one := consumers.report(queue)) and not one.reason, 30)
    wait_until(lambda: ready(channel, DUE) + unacked(broker, DUE) == 0, 20)
    consumers.end()
    assert left(channel, full) - {""} == set(ids)
    assert left(channel, DUE) == set()


def refuses(channel: BlockingChannel, queue: str) -> bool:
    """Publish a message without id, and return whether the queue refuses it."""
    try:
        channel.basic_publish("", queue, b"filler", pika.BasicProperties(delivery_mode=2))
    except pika.exceptions.NackError:
        return True
    return False


def test_a_broker_that_always_answers_late_gets_no_retry_again_and_again(
    make_consumers: MakeConsumers,
    channel: BlockingChannel,
    plain: BlockingChannel,
    queue: str,
    between: Proxy,
    proxied_url: str,
    target: Target,
) -> None:
    consumers = make_consumers(proxied_url, periods=Periods(returned=0.3, return_again=1, requeue=0.2))
    wait_consuming(consumers, channel, queue, target)
    between.latency = 0.4
    ids = ids_of("m", 100)
    make_due(plain, queue, ids)
    wait_until(lambda: set(ids) <= set(target.delivered()), 60)
    wait_until(lambda: all(held(channel, name) == 0 for name in (DUE, OVERDUE)), 60)
    make_due(plain, queue, later := ids_of("later", 200))  # by now it knows how slow the broker is
    wait_until(lambda: set(later) <= set(target.delivered()), 60)
    wait_until(lambda: all(held(channel, name) == 0 for name in (DUE, OVERDUE)), 60)
    between.flow()
    consumers.end()
    times = Counter(target.delivered())
    assert {one: times[one] for one in later if times[one] > 1} == {}
    assert max(times.values()) <= 4


def held(channel: BlockingChannel, queue: str) -> int:
    with channel.connection.channel() as other:
        try:
            return ready(other, queue)
        except pika.exceptions.ChannelClosedByBroker:
            return 0


def test_a_window_of_large_retries_that_takes_longer_than_the_limit_is_published_once(
    make_consumers: MakeConsumers,
    channel: BlockingChannel,
    plain: BlockingChannel,
    queue: str,
    unique_name: str,
    between: Proxy,
    proxied_url: str,
    target: Target,
) -> None:
    """The messages come quickly, but only 64 KB return in each 30 ms, and each queue waits for the others."""
    names = [f"{unique_name}-{number}" for number in range(5)]
    for name in names:
        channel.queue_declare(name, durable=True)
    consumers = make_consumers(proxied_url, periods=Periods(returned=1, return_again=1))
    wait_consuming(consumers, channel, queue, target)
    make_early(plain, 0.95, names * 80, body=bytes(50_000))
    wait_until(lambda: ready(channel, DUE) == 0)
    between.latency = 0.03
    wait_until(lambda: sum(ready(channel, name) for name in names) >= 400, 60)
    wait_until(lambda: all(held(channel, name) == 0 for name in (DUE, OVERDUE)), 60)
    between.flow()
    consumers.end()
    assert [ready(channel, name) for name in names] == [80] * len(names)


@pytest.mark.usefixtures("consuming")
def test_early_messages_of_a_skewed_clock_do_not_have_the_levels_checked_for_each(
    channel: BlockingChannel, plain: BlockingChannel, queue: str, counter: FrameCounter
) -> None:
    make_early(plain, 1000, [queue])
    wait_until(lambda: held(channel, "workerrmq.scheduled.9") == 1)
    before = counter.sent[QUEUE_DECLARE]
    for number in range(40):
        make_early(plain, 1000, [queue] * 10)
        wait_until(lambda count=1 + 10 * (number + 1): held(channel, "workerrmq.scheduled.9") == count)
    assert counter.sent[QUEUE_DECLARE] - before < 200


@pytest.mark.usefixtures("consuming")
def test_messages_to_a_missing_exchange_become_orphans_and_no_retry_is_published_twice(
    channel: BlockingChannel, plain: BlockingChannel, unique_name: str, broker: BrokerNode
) -> None:
    kept = f"{unique_name}-kept"
    channel.queue_declare(kept, durable=True)
    wait_until(lambda: held(channel, ORPHANS) == 0)
    for number in range(100):
        make_early(plain, -1, ids_of(f"key-{number}", 3), exchange=f"{unique_name}-gone")
        make_due(plain, kept, [f"m-{number}"])
    wait_ready(channel, ORPHANS, 300, 20)
    wait_until(lambda: ready(channel, DUE) + unacked(broker, DUE) == 0, 20)
    assert ready(channel, kept) == 100


def test_a_thread_that_loses_its_channel_while_it_drains_ends_before_its_deadline(
    make_consumers: MakeConsumers,
    channel: BlockingChannel,
    plain: BlockingChannel,
    queue: str,
    broker: BrokerNode,
    target: Target,
) -> None:
    consumers = make_consumers(periods=Periods(settling=60))  # the queue for orphans is not used before
    consumers.deliver(queue, target.url("/ok"))
    wait_until(lambda: takers(channel))
    make_due(plain, "a-queue-that-is-gone", ["m-1"])
    wait_until(lambda: unacked(broker, DUE) == 1, 20)
    consumers.thread.stop(60)
    broker.close_connections()
    assert consumers.thread.join(20)


def test_a_caller_that_fails_does_not_keep_the_others_from_their_queue(broker: BrokerNode) -> None:
    loop, done = Loop(), []
    standing = Standing(loop, Periods())

    def fails() -> None:
        raise RuntimeError("a fault of ours")

    def up(connection: object) -> None:
        standing.connected(connection)
        standing.need_return(fails)
        standing.need_return(lambda: done.append("ready"))

    Link(loop, BrokerNodes.parse(broker.amqp_url), "test", on_up=up, on_down=lambda _: None).open()
    loop.call_later(15, loop.finish)
    wait_done(loop, lambda: bool(done))
    assert done == ["ready"]

"""PublisherThread reports the broker's result for each message."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from domain.errors import (
    BrokerUnavailable,
    MessageTooLarge,
    PublishRefused,
    PublishUnconfirmed,
    Unroutable,
    Unwritable,
    WorkerError,
)
from domain.message import Message, Properties
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.outlet import ChannelPeriods
from gateway.amqp.publisher_thread import PublisherThread
from tests.delivery.breaking import close_connection, open_channels
from tests.delivery.frames import CHANNEL_OPEN, FrameCounter
from tests.support.amqp import ready, take, wait_ready
from tests.support.node import BrokerNode
from tests.support.processes import free_port, wait_until
from tests.support.proxy import Proxy
from tests.support.rabbitmq import RabbitNode

pytestmark = pytest.mark.versions

Make = Callable[..., PublisherThread]


@pytest.fixture
def make_publisher(broker: BrokerNode) -> Iterator[Make]:
    """Starts publishers, on the broker unless told another URL; they end with the test."""
    made: list[PublisherThread] = []

    def make(url: str | None = None, **options: Any) -> PublisherThread:
        made.append(PublisherThread(BrokerNodes.parse(url or broker.amqp_url), "test-publisher", **options))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.stop(0)


@pytest.fixture
def publisher(make_publisher: Make) -> PublisherThread:
    """A publisher that is connected."""
    one = make_publisher()
    wait_until(lambda: one.connected)
    return one


def message(queue: str, body: bytes = b"body", **fields: Any) -> Message:
    return Message(queue, body, properties=Properties(**{"message_id": "m", **fields}))


def max_message_size(node: RabbitNode, size: int | None) -> None:
    """Set the broker's limit for channels that are opened from now on; None is its default."""
    limit = size or 16 * 2**20
    cached = f"persistent_term:put(max_message_size, {limit})," if node.name == "rabbitmq4" else ""
    node.evaluate(f"{cached} application:set_env(rabbit, max_message_size, {limit}).")


@pytest.mark.parametrize("limit", [2_000, 50_000, 100_000, 3_000_000])
@pytest.mark.parametrize("broker", ["rabbitmq", "rabbitmq4"], indirect=True)
def test_a_message_over_the_brokers_limit_costs_no_other_message(
    broker: RabbitNode, make_publisher: Make, channel: BlockingChannel, queue: str, limit: int
) -> None:
    max_message_size(broker, limit)
    try:
        publisher = make_publisher()
        wait_until(lambda: publisher.connected)
        others = [message(queue, b"x" * min(limit, 2_000))] * 20
        batch = [*others, message(queue, b"y" * (limit + 500)), message(queue, b"z" * limit), *others]
        with ThreadPoolExecutor(8) as threads:
            results = list(threads.map(lambda _: publisher.publish(batch, 20).result(), range(8)))
        for one in results:
            assert kinds(one) == [type(None)] * 20 + [MessageTooLarge] + [type(None)] * 21
            assert str(limit) in (one[20] or WorkerError("")).detail
    finally:
        max_message_size(broker, None)
    wait_ready(channel, queue, 8 * 41)


@pytest.mark.parametrize("broker", ["rabbitmq4"], indirect=True)
def test_the_limit_of_rabbitmq_4_is_16_mib(broker: RabbitNode, publisher: PublisherThread, queue: str) -> None:
    fits, over = message(queue, bytes(16 * 2**20)), message(queue, bytes(16 * 2**20 + 1))
    assert kinds(publisher.publish([fits, over, message(queue)], 60).result()) == [
        type(None),
        MessageTooLarge,
        type(None),
    ]


def test_messages_keep_their_order_whatever_their_size(
    publisher: PublisherThread, channel: BlockingChannel, queue: str
) -> None:
    sizes = [10, 5_000, 20, 200_000, 1_000_000, 30, 70_000, 3_000_000, 40]
    assert publisher.publish([message(queue, bytes(size)) for size in sizes], 20).result() == [None] * len(sizes)
    assert [len(one.body) for one in take(channel, queue, len(sizes))] == sizes


def kinds(results: list[WorkerError | None]) -> list[type]:
    return [type(result) for result in results]


def test_a_message_is_in_its_queue_when_its_publisher_hears_so(
    publisher: PublisherThread, channel: BlockingChannel, queue: str
) -> None:
    assert publisher.publish([message(queue, b"1"), message(queue, b"2", type="t")], 10).result() == [None, None]
    first, second = take(channel, queue, 2)
    assert (first.body, second.body, second.properties.type) == (b"1", b"2", "t")
    assert first.properties.delivery_mode == 2


def test_an_unroutable_message_is_distinguished_from_identical_routable_ones(
    publisher: PublisherThread, channel: BlockingChannel, queue: str
) -> None:
    results = publisher.publish([message(queue), message("nowhere"), message(queue), message("nowhere")], 10).result()
    assert kinds(results) == [type(None), Unroutable, type(None), Unroutable]
    assert "nowhere" in results[1].detail
    assert ready(channel, queue) == 2


def test_an_exchange_that_does_not_exist_is_named_and_costs_no_neighbour(
    publisher: PublisherThread, channel: BlockingChannel, queue: str
) -> None:
    results = publisher.publish([message(queue), Message("key", b"", "missing"), message(queue)], 10).result()
    assert isinstance(results[1], Unroutable)
    assert results[1].code == "exchange_not_found"
    assert [results[0], results[2]] == [None, None]
    assert ready(channel, queue) == 2


def test_a_queue_that_refuses_makes_its_message_refused(
    publisher: PublisherThread, channel: BlockingChannel, queue: str, unique_name: str
) -> None:
    full = f"{unique_name}-full"
    channel.queue_declare(full, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    results = publisher.publish([message(full), message(full), message(queue)], 10).result()
    assert kinds(results) == [type(None), PublishRefused, type(None)]


def test_a_channel_on_which_a_message_was_refused_is_replaced_and_costs_no_other_message(
    make_publisher: Make,
    channel: BlockingChannel,
    queue: str,
    unique_name: str,
    broker: BrokerNode,
    counted_url: str,
    counter: FrameCounter,
) -> None:
    full = f"{unique_name}-full"
    channel.queue_declare(full, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    publisher = make_publisher(counted_url, channel_periods=ChannelPeriods(renewal=0.05))
    assert publisher.publish([message(full), message(queue)], 10).result() == [None, None]
    before, published = counter.sent[CHANNEL_OPEN], 1

    def replaced_often() -> bool:
        nonlocal published
        batch = [message(queue), message(full), *[message(queue)] * 50, message("nowhere")]
        results = kinds(publisher.publish(batch, 10).result())
        assert results == [type(None), PublishRefused, *[type(None)] * 50, Unroutable]
        published += 51
        return counter.sent[CHANNEL_OPEN] - before > 5

    wait_until(replaced_often, 20)
    wait_ready(channel, queue, published)
    # The replaced channels are closed: one is in use, and another may be opening or closing.
    wait_until(lambda: len(open_channels(broker, "test-publisher")) <= 2)


def test_a_channel_is_not_replaced_while_no_message_is_refused(
    make_publisher: Make, queue: str, counted_url: str, counter: FrameCounter
) -> None:
    publisher = make_publisher(counted_url, channel_periods=ChannelPeriods(renewal=0.0))
    wait_until(lambda: publisher.connected)
    before = counter.sent[CHANNEL_OPEN]
    for _ in range(20):
        results = publisher.publish([message(queue), message("nowhere")], 10).result()
        assert kinds(results) == [type(None), Unroutable]
    assert counter.sent[CHANNEL_OPEN] == before


def test_separate_channels_end_when_the_broker_confirms_again(
    make_publisher: Make, broker: BrokerNode, channel: BlockingChannel, unique_name: str, proxy: Callable[[int], Proxy]
) -> None:
    """All queues are silent for several times `silence`, again and again, also after `apart` and `drain`."""
    queues = [f"{unique_name}-{number}" for number in range(5)]
    for name in queues:
        channel.queue_declare(name, auto_delete=True)
    before = proxy(broker.port)
    periods = ChannelPeriods(silence=0.05, apart=0.5, drain=0.5)
    publisher = make_publisher(broker.amqp_url.replace(str(broker.port), str(before.port)), channel_periods=periods)
    wait_until(lambda: publisher.connected)
    for turn in range(5):
        before.stall()
        stuck = [publisher.publish([message(name)], 20) for name in queues]
        time.sleep(0.3)
        behind = [publisher.publish([message(name)], 20) for name in queues]
        before.flow()
        assert [one.result() for one in (*stuck, *behind)] == [[None]] * 10
        assert publisher.publish([message(name) for name in queues] * 100, 20).result() == [None] * 500
        wait_ready(channel, queues[0], 102 * (turn + 1))
        if turn == 2:  # no message for several times `apart`
            wait_until(lambda: len(open_channels(broker, "test-publisher")) == 1)
            time.sleep(2)
    for name in queues:
        wait_ready(channel, name, 510)
    wait_until(lambda: len(open_channels(broker, "test-publisher")) == 1)


def nested(depth: int) -> Any:
    """A list in a list in a list."""
    value: Any = "deep"
    for _ in range(depth):
        value = [value]
    return value


def test_a_message_that_amqp_cannot_encode_is_refused_and_the_others_are_published(
    publisher: PublisherThread, channel: BlockingChannel, queue: str
) -> None:
    odd = [
        message(queue, type="x" * 300),
        message(queue, headers={"a": 2**70}),
        message(queue, headers={"a": "x" * 140_000}),
        message(queue, headers={"a": object()}),
        message(queue, headers={"a": nested(100)}),
        message(queue, headers={"a": nested(5000)}),
        message("k" * 300),
    ]
    results = publisher.publish([message(queue), *odd, message(queue)], 10).result()
    assert kinds(results) == [type(None), *[Unwritable] * len(odd), type(None)]
    assert ready(channel, queue) == 2


def test_results_of_many_callers_at_once_are_not_mixed_up(
    publisher: PublisherThread, channel: BlockingChannel, queue: str
) -> None:
    def call(number: int) -> bool:
        batch = [message("nowhere" if (number + one) % 3 == 0 else queue, str(number).encode()) for one in range(30)]
        results = publisher.publish(batch, 30).result()
        return all((one.routing_key == queue) == (result is None) for one, result in zip(batch, results, strict=True))

    with ThreadPoolExecutor(16) as callers:
        assert all(callers.map(call, range(64)))
    wait_ready(channel, queue, 64 * 20)


def test_a_broker_out_of_memory_refuses_and_says_when_to_try_again(
    publisher: PublisherThread, channel: BlockingChannel, queue: str, broker: BrokerNode
) -> None:
    assert publisher.publish([message(queue)], 10).result() == [None]
    broker.set_memory_alarm(True)
    try:
        wait_until(lambda: kinds(publisher.publish([message(queue)], 2).result()) == [PublishRefused])
        (refused,) = publisher.publish([message(queue)], 2).result()
        assert isinstance(refused, PublishRefused)
        assert refused.retry_after
        assert publisher.error
    finally:
        broker.set_memory_alarm(False)
    wait_until(lambda: publisher.publish([message(queue)], 2).result() == [None], 20)


def test_without_a_broker_nothing_is_published_and_the_caller_hears_so_in_time(make_publisher: Make) -> None:
    publisher = make_publisher(f"amqp://guest:guest@127.0.0.1:{free_port()}/")
    assert kinds(publisher.publish([message("q"), message("q")], 0.5).result()) == [BrokerUnavailable] * 2
    assert not publisher.connected
    assert publisher.error


def test_a_broker_that_stalls_leaves_it_open_whether_the_message_was_published(
    make_publisher: Make, between: Proxy, proxied_url: str, channel: BlockingChannel, queue: str
) -> None:
    publisher = make_publisher(proxied_url)
    assert publisher.publish([message(queue)], 10).result() == [None]
    between.stall()
    assert kinds(publisher.publish([message(queue)], 0.5).result()) == [PublishUnconfirmed]
    between.flow()
    wait_until(lambda: publisher.publish([message(queue)], 2).result() == [None], 20)
    wait_ready(channel, queue, 3)


def test_each_batch_ends_by_its_own_timeout_whatever_the_others_have(
    make_publisher: Make, between: Proxy, proxied_url: str, queue: str
) -> None:
    publisher = make_publisher(proxied_url)
    assert publisher.publish([message(queue)], 10).result() == [None]
    between.stall()
    patient = publisher.publish([message(queue)], 60)
    for timeout in (0.5, 0.1, 0.3):
        assert kinds(publisher.publish([message(queue)], timeout).result(20)) == [PublishUnconfirmed]
    assert not patient.done()
    assert publisher.publish([], 1).result(20) == []
    publisher.stop(0)
    assert kinds(patient.result(20)) == [PublishUnconfirmed]


def test_a_connection_lost_before_the_confirm_leaves_it_open_too(
    make_publisher: Make, between: Proxy, proxied_url: str, queue: str
) -> None:
    publisher = make_publisher(proxied_url)
    assert publisher.publish([message(queue)], 10).result() == [None]
    between.stall()
    result = publisher.publish([message(queue)], 30)
    later = publisher.publish([message(queue)], 0.1)
    assert kinds(later.result(20)) == [PublishUnconfirmed], "both were sent"
    between.reset()
    assert kinds(result.result(20)) == [PublishUnconfirmed]


def test_a_suspended_broker_is_noticed_within_the_deadline_and_used_again_when_it_goes_on(
    publisher: PublisherThread, channel: BlockingChannel, broker: BrokerNode, queue: str
) -> None:
    broker.suspend()
    try:
        wait_until(lambda: kinds(publisher.publish([message(queue)], 0.5).result()) == [PublishUnconfirmed])
    finally:
        broker.resume()
    wait_until(lambda: publisher.publish([message(queue)], 2).result() == [None], 20)


def test_a_connection_closed_by_the_broker_comes_back(
    publisher: PublisherThread, channel: BlockingChannel, broker: BrokerNode, queue: str
) -> None:
    close_connection(broker, "test-publisher")
    assert wait_until(lambda: publisher.publish([message(queue)], 5).result() == [None], 20)
    assert ready(channel, queue) >= 1


def test_a_message_of_a_moment_without_connection_is_published_when_it_is_back_in_time(
    make_publisher: Make, between: Proxy, proxied_url: str, channel: BlockingChannel, queue: str
) -> None:
    between.refuse()
    publisher = make_publisher(proxied_url)
    result = publisher.publish([message(queue)], 20)
    wait_until(lambda: publisher.error not in (None, "not connected yet"))
    between.flow()
    assert result.result(30) == [None]
    assert ready(channel, queue) == 1


def test_a_stopped_publisher_waits_for_its_confirms_and_refuses_what_comes_after(
    publisher: PublisherThread, channel: BlockingChannel, queue: str
) -> None:
    results = [publisher.publish([message(queue)] * 50, 10) for _ in range(4)]
    wait_until(lambda: any(result.done() for result in results))
    publisher.stop(5)
    published = [result for future in results for result in future.result(20)]
    assert set(kinds(published)) <= {type(None), BrokerUnavailable}
    assert published.count(None) == ready(channel, queue)
    assert kinds(publisher.publish([message(queue)], 1).result()) == [BrokerUnavailable]

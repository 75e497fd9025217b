"""An exchange that the broker refuses holds up its own messages only: each exchange of a client has its own channel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from delivery.periods import Periods
from domain.errors import PublishRefused, PublishUnconfirmed, Unroutable, WorkerError
from domain.filter_pattern import FilterPattern
from domain.message import Message, Properties
from domain.otherwise import Destination, Forward
from gateway.amqp.confirm_channel import ConfirmChannel
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.outlet import ChannelPeriods
from gateway.amqp.publisher import Publisher
from gateway.amqp.publisher_thread import PublisherThread
from gateway.loop import Loop
from tests.delivery.breaking import open_channels
from tests.delivery.running import Consumers
from tests.delivery.test_loop import wait_done
from tests.support.amqp import publish, ready, take, wait_ready
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.target import Target
from tests.support.target_http import Request

pytestmark = pytest.mark.versions

NOTHING = FilterPattern({"body": {"total": {"$gte": 100}}})


@contextmanager
def publishing(url: str, periods: ChannelPeriods = ChannelPeriods()) -> Iterator[PublisherThread]:  # noqa: B008
    publisher = PublisherThread(BrokerNodes.parse(url), "test-publisher", channel_periods=periods)
    publisher.start()
    wait_until(lambda: publisher.connected)
    yield publisher
    publisher.stop(1)


def message(queue: str, exchange: str = "", body: bytes = b"body") -> Message:
    return Message(queue, body, exchange, Properties(message_id="m"))


@pytest.mark.parametrize("internal", [False, True], ids=["missing", "internal"])
def test_messages_for_an_exchange_that_the_broker_refuses_wait_and_no_other_message_is_delivered_twice(
    make_consumers: Callable[..., Consumers],
    channel: BlockingChannel,
    queue: str,
    target: Target,
    unique_name: str,
    internal: bool,
) -> None:
    exchange, kept, other = f"{unique_name}-x", f"{unique_name}-kept", f"{unique_name}-other"
    if internal:
        channel.exchange_declare(exchange, "fanout", internal=True)
    channel.queue_declare(kept, durable=True)
    channel.queue_declare(other, durable=True)
    publish(channel, other, *map(str, range(20)))
    consumers = make_consumers(periods=Periods(look_again=0.2))
    forward = Forward(forward=Destination(exchange=exchange, routing_key="x"))
    consumers.deliver(other, target.url(), filter=NOTHING, otherwise=forward, prefetch=20)

    def answer(request: Request) -> int:
        return 500 if int(request.id[2:]) % 2 and target.ids()[request.id] == 1 else 200

    target.answer = answer
    consumers.deliver(queue, target.url(), retry={"schedule": (2,), "jitter": 0}, prefetch=100)
    quick = channel.connection.channel()  # without confirms
    for number in range(500):
        publish(quick, queue, b"body" * 500, message_id=f"m-{number}")
    wait_until(lambda: len(target.delivered()) == 500, 60)
    assert [one for one, count in target.delivered().items() if count > 1] == []
    report = wait_until(lambda: (one := consumers.report(other)) and one.copy_error and one)
    assert exchange in (report.copy_error or "")
    assert report.in_flight == 20
    if internal:
        channel.exchange_delete(exchange)
    channel.exchange_declare(exchange, "fanout")
    channel.queue_bind(kept, exchange)
    assert len({one.body for one in take(channel, kept, 20, timeout=20)}) == 20
    wait_until(lambda: (one := consumers.report(other)) and (one.filtered, one.in_flight) == (20, 0))
    assert ready(channel, kept) == 0


FORGED: dict[str, object] = {
    "expiration": "soon",
    "delivery_mode": 7,
    "user_id": "another",
    "cluster_id": "c",
    "priority": 1000,
    "CC": 5,
    "BCC": "k",
}
"""Values for which RabbitMQ closes the channel, except those of cluster_id and priority."""


def test_forged_properties_of_a_copy_reach_no_channel_and_the_message_its_queue(
    make_consumers: Callable[..., Consumers], channel: BlockingChannel, queue: str, target: Target, unique_name: str
) -> None:
    kept = f"{unique_name}-kept"
    channel.queue_declare(kept, durable=True)
    consumers = make_consumers(periods=Periods(look_again=0.2))
    forward = Forward(forward=Destination(exchange="", routing_key=kept))
    consumers.deliver(queue, target.url(), filter=NOTHING, otherwise=forward)
    marks = {"workerrmq-queue": queue, "workerrmq-exchange": "", "workerrmq-routing-key": kept}
    due = {"workerrmq-due-at": "2020-01-01T00:00:00+00:00"}
    for aside in [{name: value} for name, value in FORGED.items()] + [FORGED]:
        publish(channel, queue, "forward", headers={**marks, "workerrmq-attempts": 1, "workerrmq-set-aside": aside})
        scheduled = {**marks, **due, "workerrmq-attempts": 0, "workerrmq-set-aside": aside}
        publish(channel, "workerrmq.due", "scheduled", headers=scheduled)
    bodies = [one.body for one in take(channel, kept, 2 * (len(FORGED) + 1), timeout=20)]
    assert bodies.count(b"scheduled") == bodies.count(b"forward") == len(FORGED) + 1
    wait_until(lambda: (one := consumers.report(queue)) and (one.in_flight, one.refused_copies) == (0, 0))
    assert ready(channel, kept) == 0


def test_a_missing_exchange_costs_no_message_of_another_caller(
    broker: BrokerNode, channel: BlockingChannel, queue: str, unique_name: str
) -> None:
    bound, missing = f"{unique_name}-bound", f"{unique_name}-missing"
    channel.exchange_declare(bound, "fanout")
    channel.queue_bind(queue, bound)
    with publishing(broker.amqp_url) as publisher:
        for _ in range(10):
            batch = [message(queue), message("k", missing), message("k", bound), message("k", missing), message(queue)]
            first, lost, second, too, third = publisher.publish(batch, 10).result()
            assert [first, second, third] == [None] * 3
            assert isinstance(lost, Unroutable)
            assert isinstance(too, Unroutable)
            assert lost.code == "exchange_not_found"
    wait_ready(channel, queue, 30)


def test_more_missing_exchanges_than_channels_cost_no_message_of_a_queue(
    broker: BrokerNode, channel: BlockingChannel, queue: str, unique_name: str
) -> None:
    with publishing(f"{broker.amqp_url}?channel_max=8") as publisher:
        for _ in range(5):
            missing = [message("k", f"{unique_name}-{number}") for number in range(12)]
            batch = [one for lost in missing for one in (message(queue), lost)]
            results = publisher.publish(batch, 20).result()
            assert results[::2] == [None] * 12
            assert all(isinstance(one, Unroutable | PublishUnconfirmed) for one in results[1::2])
    wait_ready(channel, queue, 60)


def test_a_refused_exchange_is_tried_again_after_each_period_and_used_when_it_exists(
    broker: BrokerNode, channel: BlockingChannel, queue: str, unique_name: str
) -> None:
    with publishing(broker.amqp_url, ChannelPeriods(refusal=0.1)) as publisher:
        for _ in range(5):
            (refused,) = publisher.publish([message("k", unique_name)], 10).result()
            assert isinstance(refused, Unroutable)
        channel.exchange_declare(unique_name, "fanout", auto_delete=True)
        channel.queue_bind(queue, unique_name)
        assert wait_until(lambda: publisher.publish([message("k", unique_name)], 10).result() == [None])


def test_an_exchange_that_is_deleted_while_in_use_and_created_again_is_used_again(
    broker: BrokerNode, channel: BlockingChannel, queue: str, unique_name: str
) -> None:
    with publishing(broker.amqp_url) as publisher:
        for _ in range(3):
            channel.exchange_declare(unique_name, "fanout")
            channel.queue_bind(queue, unique_name)
            assert wait_until(lambda: publisher.publish([message("k", unique_name)], 10).result() == [None])
            channel.exchange_delete(unique_name)
            refused, fine = publisher.publish([message("k", unique_name), message(queue)], 10).result()
            assert isinstance(refused, Unroutable)
            assert fine is None


def test_the_channels_of_many_exchanges_use_half_of_a_connections_channels_at_most(
    broker: BrokerNode, channel: BlockingChannel, queue: str, unique_name: str
) -> None:
    names = [f"{unique_name}-{number}" for number in range(12)]
    for name in names:
        channel.exchange_declare(name, "fanout")
        channel.queue_bind(queue, name)
    with publishing(f"{broker.amqp_url}?channel_max=8") as publisher:
        for _ in range(5):  # at once: exchanges share a channel; one by one: the channel of an idle one is closed
            assert publisher.publish([message("k", name) for name in names], 20).result() == [None] * 12
            wait_until(lambda: len(open_channels(broker, "test-publisher")) <= 4)
            for name in names:
                assert publisher.publish([message("k", name)], 20).result() == [None]
    wait_ready(channel, queue, 120)


def test_an_exchange_that_loses_its_channel_while_another_replaces_it_leaves_none_open(
    broker: BrokerNode, channel: BlockingChannel, unique_name: str
) -> None:
    full, names = f"{unique_name}-full", [f"{unique_name}-{number}" for number in range(12)]
    channel.queue_declare(full, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    publish(channel, full, b"body")
    for name in names:
        channel.exchange_declare(name, "fanout")
        channel.queue_bind(full, name)
    periods = ChannelPeriods(renewal=0.0, reopening=0.01)
    with publishing(f"{broker.amqp_url}?channel_max=8", periods) as publisher:
        for number in range(40):  # three exchanges at once, which have all channels, and then the next three
            batch = [message("k", names[(3 * number + place) % 12]) for place in range(3)]
            assert all(isinstance(one, PublishRefused) for one in publisher.publish(batch, 20).result())
        wait_until(lambda: len(open_channels(broker, "test-publisher")) <= 4)


def test_a_channel_that_is_closed_before_it_confirms_is_opened_again(
    broker: BrokerNode, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, left = ConfirmChannel.open, [3]

    def close_at_first(self: ConfirmChannel, ready: Callable[[ConfirmChannel], None]) -> None:
        opened(self, ready)
        if left[0]:
            left[0] -= 1
            self.channel.close()

    monkeypatch.setattr(ConfirmChannel, "open", close_at_first)
    with publishing(broker.amqp_url) as publisher:
        assert publisher.publish([message(queue)], 10).result() == [None]
    assert left == [0]


def test_a_callback_that_crashes_takes_no_result_from_the_others(broker: BrokerNode, queue: str) -> None:
    loop, connections = Loop(), list[Any]()
    publisher = Publisher(loop, BrokerNodes.parse(broker.amqp_url), "test-publisher")
    publisher.on_up = connections.append
    results: list[WorkerError | None] = []

    def crash(_error: WorkerError | None) -> None:
        raise RuntimeError("crashed")

    def send() -> None:
        for done in (crash, results.append, crash, results.append):
            publisher.publish(message(queue), done)

    def send_and_lose() -> None:
        send()
        connections[0].close()

    steps = [send, send_and_lose, send, publisher.close]

    def ended() -> bool:
        """Take the next step if the last one has its two results."""
        if steps and len(results) == 2 * (4 - len(steps)):
            steps.pop(0)()
        return not steps and publisher.closed

    loop.call_later(30, loop.finish)
    publisher.open()
    wait_done(loop, ended)
    assert len(results) == 6
    assert results[:2] == results[4:] == [None, None]

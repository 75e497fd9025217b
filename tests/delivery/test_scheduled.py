"""Scheduled messages: never early, none lost, put where they were published to by a worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker

from delivery.periods import Periods
from domain.errors import BrokerUnavailable, WorkerError
from domain.message import Message, Properties
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.publisher_thread import PublisherThread
from gateway.amqp.topology import DUE, ORPHANS, OVERDUE, SCHEDULED, level_name, level_queue
from tests.delivery.running import Consumers
from tests.support.amqp import Message as Received
from tests.support.amqp import publish, ready, take, wait_ready
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.target import Target

pytestmark = pytest.mark.versions

MakePublisher = Callable[..., PublisherThread]
TEN_YEARS = 3652 * 86_400


@pytest.fixture
def make_publisher(broker: BrokerNode) -> Iterator[MakePublisher]:
    """Makes connected publishers, by default without the pause after a level was made."""
    made: list[PublisherThread] = []

    def make(periods: Periods = Periods(settling=0)) -> PublisherThread:  # noqa: B008
        made.append(PublisherThread(BrokerNodes.parse(broker.amqp_url), periods=periods))
        made[-1].start()
        wait_until(lambda: made[-1].connected)
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def publisher(make_publisher: MakePublisher) -> PublisherThread:
    """A connected one."""
    return make_publisher()


def schedule(
    publisher: PublisherThread,
    seconds: float,
    *ids: str,
    queue: str = "",
    exchange: str = "",
    key: str = "",
    **more: int,
) -> list[WorkerError | None]:
    """Schedule a message for each id, at the same time."""
    due = time.time() + seconds
    messages = [
        Message(queue or key, b"body", exchange, Properties(message_id=one, **more), due)  # type: ignore[arg-type]
        for one in ids
    ]
    return publisher.publish(messages, 30).result()


def held(broker: BrokerNode, queue: str) -> int:
    """The messages that are ready in a queue; 0 if it does not exist yet."""
    with broker.connect() as connection:
        try:
            return ready(connection.channel(), queue)
        except ChannelClosedByBroker:
            return 0


def ids(messages: list[Received]) -> set[str | None]:
    return {one.properties.message_id for one in messages}


def test_a_message_comes_into_its_queue_as_it_was_published_and_not_before_its_time(
    publisher: PublisherThread, consumers: Consumers, channel: BlockingChannel, queue: str
) -> None:
    sent = Properties("text/plain", headers={"x-tenant": "acme"}, priority=3, expiration="60000", delivery_mode=1,
                      message_id="m-1", correlation_id="c", type="t", app_id="a", reply_to="r")  # fmt: skip
    due = time.time() + 2.5
    assert publisher.publish([Message(queue, b"body", properties=sent, due=due)], 30).result() == [None]
    (arrived,) = take(channel, queue, 1, timeout=20)
    assert time.time() >= due
    assert arrived.body == b"body"
    got = Properties(**{name: getattr(arrived.properties, name) for name in Properties.__slots__})
    assert got.timestamp is not None
    assert got.timestamp >= int(due)
    assert got == replace(sent, timestamp=got.timestamp)


def test_an_exchange_routes_the_message_when_it_is_due(
    publisher: PublisherThread, consumers: Consumers, channel: BlockingChannel, queue: str
) -> None:
    exchange, other = f"{queue}-x", f"{queue}-2"
    channel.exchange_declare(exchange, "topic")
    assert schedule(publisher, 2, "m-1", "m-2", exchange=exchange, key="order.created") == [None, None]
    for name in (queue, other):  # bound after the message was scheduled
        channel.queue_declare(name, durable=True)
        channel.queue_bind(name, exchange, "order.*")
    for name in (queue, other):
        assert {(one.exchange, one.routing_key) for one in take(channel, name, 2)} == {(exchange, "order.created")}


def test_a_message_is_delivered_and_retried_like_any_other(
    publisher: PublisherThread, consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    consumers.deliver(queue, target.url("/status/500?times=1"), retry={"schedule": (1,), "jitter": 0})
    assert schedule(publisher, 1, "m-1", queue=queue) == [None]
    first, second = target.wait_for(2, timeout=20)
    assert (first.id, second.id) == ("m-1", "m-1")
    assert [one.headers["x-delivery-attempt"] for one in (first, second)] == ["1", "2"]


def test_a_message_whose_time_is_over_is_published_at_once(
    publisher: PublisherThread, channel: BlockingChannel, queue: str
) -> None:
    assert schedule(publisher, -1, "m-1", queue=queue) == [None]
    assert ready(channel, queue) == 1


# Deleting 29 quorum queues of a node that was just killed can leave RabbitMQ 3.10 unusable (541) for the next tests.
@pytest.mark.parametrize("killed", [False, pytest.param(True, marks=pytest.mark.soak)])
def test_a_message_of_ten_years_waits_in_the_highest_level_and_survives_a_kill_of_the_broker(
    make_publisher: MakePublisher, broker: BrokerNode, queue: str, killed: bool
) -> None:
    publisher = make_publisher(Periods())
    assert schedule(publisher, TEN_YEARS, "m-1", queue=queue) == [None]
    assert schedule(publisher, 2**22 + 2**20, "m-2", queue=queue) == [None]
    if killed:
        broker.kill()
        broker.start()
    for level in (28, 22):
        with broker.connect() as connection:
            wait_ready(connection.channel(), level_queue(SCHEDULED, level), 1, 30)


def test_messages_that_wait_survive_a_kill_of_the_broker_and_none_is_early(
    make_publisher: MakePublisher, consumers: Consumers, broker: BrokerNode, queue: str
) -> None:
    publisher = make_publisher(Periods())
    assert schedule(publisher, 1, "first", queue=queue) == [None]  # the levels have settled now
    due, names = time.time() + 7, [f"m-{number}" for number in range(200)]
    assert schedule(publisher, 7, *names, queue=queue) == [None] * 200
    broker.kill()
    broker.start()
    with broker.connect(heartbeat=0) as connection:
        channel = connection.channel()
        wait_until(lambda: ready(channel, queue) == 1 or time.time() > due)
        wait_until(lambda: ready(channel, queue) >= 201, 40)
        assert time.time() >= due
        assert ids(take(channel, queue, ready(channel, queue))) == {"first", *names}


def test_messages_stay_where_workers_find_them_while_none_runs(
    publisher: PublisherThread, make_consumers: Callable[..., Consumers], channel: BlockingChannel, queue: str
) -> None:
    assert schedule(publisher, 1, "m-1", "m-2", queue=queue) == [None, None]
    wait_ready(channel, DUE, 2, 20)
    assert ready(channel, queue) == 0
    make_consumers()
    wait_ready(channel, queue, 2)


def test_a_message_whose_queue_or_exchange_is_gone_is_kept_with_where_it_was_to_go(
    publisher: PublisherThread,
    consumers: Consumers,
    channel: BlockingChannel,
    queue: str,
    target: Target,
    broker: BrokerNode,
) -> None:
    exchange, other = f"{queue}-x", f"{queue}-2"
    channel.exchange_declare(exchange, "fanout")
    channel.queue_declare(other, durable=True)
    consumers.deliver(other, target.url("/ok"))
    schedule(publisher, 2, "to-queue", queue=queue)
    schedule(publisher, 2, "to-exchange", exchange=exchange, key="k")
    schedule(publisher, 2, "to-nothing", exchange="amq.direct", key="unbound")
    publish(channel, other, b"meanwhile")
    channel.queue_delete(queue)
    channel.exchange_delete(exchange)
    orphans = {one.properties.message_id: one.headers for one in take(channel, ORPHANS, 3, timeout=20)}
    told = {name: [headers[f"workerrmq-{part}"] for part in ("queue", "exchange", "routing-key")]
            for name, headers in orphans.items()}  # fmt: skip
    assert told == {
        "to-queue": [queue, "", queue],
        "to-exchange": ["", exchange, "k"],
        "to-nothing": ["", "amq.direct", "unbound"],
    }
    assert target.wait_for(1)
    assert held(broker, OVERDUE) == held(broker, DUE) == 0


def test_a_message_whose_queue_is_full_waits_until_there_is_room(
    publisher: PublisherThread,
    make_consumers: Callable[..., Consumers],
    channel: BlockingChannel,
    unique_name: str,
    broker: BrokerNode,
) -> None:
    arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
    channel.queue_declare(unique_name, durable=True, arguments=arguments)
    publish(channel, unique_name, b"filler", delivery_mode=2)
    make_consumers(periods=Periods(return_again=1))
    schedule(publisher, 1, "m-1", queue=unique_name, priority=2)
    wait_until(lambda: held(broker, OVERDUE) == 1, 20)
    take(channel, unique_name, 1)
    (arrived,) = take(channel, unique_name, 1, timeout=20)
    assert (arrived.properties.message_id, arrived.properties.priority) == ("m-1", 2)


def test_a_level_that_is_deleted_makes_no_message_early(
    publisher: PublisherThread, consumers: Consumers, channel: BlockingChannel, queue: str
) -> None:
    schedule(publisher, 8.5, "first", queue=queue)
    channel.queue_delete(level_queue(SCHEDULED, 2))
    due = time.time() + 6
    assert schedule(publisher, 6, "m-1", queue=queue) == [None]
    (arrived,) = take(channel, queue, 1, timeout=20)
    assert arrived.properties.message_id == "m-1"
    assert time.time() >= due
    assert ready(channel, level_queue(SCHEDULED, 2)) == 0  # made again


def test_a_level_that_lost_its_exchange_refuses_and_is_made_again(
    publisher: PublisherThread, channel: BlockingChannel, queue: str
) -> None:
    assert schedule(publisher, 5, "m-1", queue=queue) == [None]
    channel.exchange_delete(level_name(2))
    (error,) = schedule(publisher, 5, "m-2", queue=queue)
    assert isinstance(error, BrokerUnavailable)
    wait_until(lambda: schedule(publisher, 5, "m-3", queue=queue) == [None])
    assert ready(channel, level_queue(SCHEDULED, 2)) == 2


def test_a_message_of_high_priority_keeps_back_none_that_is_due_before(
    publisher: PublisherThread, consumers: Consumers, channel: BlockingChannel, queue: str
) -> None:
    due = time.time() + 8
    schedule(publisher, 8, "low", queue=queue, priority=0)
    wait_until(lambda: time.time() > due - 2)
    schedule(publisher, 8, "high", queue=queue, priority=9)
    (arrived,) = take(channel, queue, 1, timeout=20)
    assert arrived.properties.message_id == "low"
    assert time.time() < due + 4  # before the time of the other


def test_a_refused_declaration_of_the_levels_is_an_error_at_once_and_schedules_nothing(
    make_publisher: MakePublisher, broker: BrokerNode, channel: BlockingChannel, queue: str
) -> None:
    publisher = make_publisher(Periods(settling=0, declare_again=0.5))
    assert broker.management.put("permissions", "/", "guest", body={"configure": "^x", "write": ".*", "read": ".*"}).ok
    try:
        began = time.monotonic()
        errors = schedule(publisher, 60, *map(str, range(20)), queue=queue)
        assert {type(error) for error in errors} == {BrokerUnavailable}
        assert time.monotonic() - began < 25
    finally:
        assert broker.management.put(
            "permissions", "/", "guest", body=dict.fromkeys(("configure", "write", "read"), ".*")
        ).ok
    wait_until(lambda: schedule(publisher, 60, "later", queue=queue) == [None], 20)
    assert ready(channel, level_queue(SCHEDULED, 5)) == 1

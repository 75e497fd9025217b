"""Looking at messages changes nothing: no look uses up a delivery limit, on any broker."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from domain.errors import Invalid, NotFound, PublishRefused
from domain.held_message import HeldMessage
from domain.replay import DeadLetterFilter, ReplayRequest
from gateway.amqp.held_messages import HeldMessages
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.publisher_thread import PublisherThread
from gateway.amqp.reading import QueueReader
from gateway.amqp.replay import DeadLetterReplay, Progress
from tests.delivery.raw import Raw, raw_values
from tests.delivery.reading import reader_of
from tests.support.drain import take
from tests.support.node import BrokerNode
from tests.support.processes import wait_until

pytestmark = pytest.mark.versions

Declare = Callable[..., str]


@pytest.fixture
def publisher(broker: BrokerNode) -> Iterator[PublisherThread]:
    """Yield a connected publisher."""
    one = PublisherThread(BrokerNodes.parse(broker.amqp_url))
    one.start()
    wait_until(lambda: one.connected, 15)
    yield one
    one.stop()


@pytest.fixture
def reader(broker: BrokerNode, publisher: PublisherThread) -> QueueReader:
    """A reader of the broker's queues."""
    return reader_of(broker, BrokerNodes.parse(broker.amqp_url), publisher)


@pytest.fixture
def dead(channel: BlockingChannel, unique_name: str) -> str:
    """The queue that would get what RabbitMQ drops for its delivery limit."""
    channel.queue_declare(f"{unique_name}-dead", durable=True)
    return f"{unique_name}-dead"


@pytest.fixture
def declare(channel: BlockingChannel, unique_name: str, dead: str) -> Declare:
    """Makes a quorum queue that dead-letters into `dead`."""

    def make(**arguments: Any) -> str:
        given = {f"x-{name.replace('_', '-')}": value for name, value in arguments.items()}
        letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}
        channel.queue_declare(unique_name, durable=True, arguments={"x-queue-type": "quorum", **letters, **given})
        return unique_name

    return make


HALF = Raw(struct.pack(">cd", b"d", 2.5))  # pika does not encode floats


def fill(channel: BlockingChannel, queue: str, count: int = 4, exchange: str = "", routing_key: str = "") -> None:
    for number in range(count):
        headers = {"x-number": number, "CC": ["elsewhere"], "deep": {"a": [1, "b", None, HALF]}}
        properties = pika.BasicProperties(
            message_id=str(number),
            headers=headers if number else None,
            delivery_mode=1 + number % 2,
            content_type="text/plain",
            timestamp=1_700_000_000,
            priority=3,
        )
        with raw_values():
            channel.basic_publish(exchange, routing_key or queue, f"body {number}".encode(), properties)


def ids(held: list[HeldMessage]) -> list[str]:
    return [one.properties["messageId"] for one in held]


def plain(held: list[HeldMessage]) -> list[dict[str, Any]]:
    """Return messages, sorted by id, without the properties that every read changes."""
    shown = [one.model_dump(exclude={"redelivered"}) for one in held]
    return sorted(shown, key=lambda one: one["properties"]["messageId"])


def waiting(channel: BlockingChannel, queue: str) -> int:
    return int(channel.queue_declare(queue, passive=True).method.message_count)


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 20, None])
def test_more_looks_than_any_limit_leave_every_message_as_it_was(
    broker: BrokerNode, reader: QueueReader, channel: BlockingChannel, declare: Declare, dead: str, limit: int | None
) -> None:
    queue = declare() if limit is None else declare(delivery_limit=limit)
    channel.exchange_declare("looked-at", "topic", durable=True)
    channel.queue_bind(queue, "looked-at", "order.*")
    channel.queue_declare("elsewhere", durable=True)
    fill(channel, queue, exchange="looked-at", routing_key="order.new")
    others = waiting(channel, "elsewhere")
    held = HeldMessages(reader)
    first = wait_until(lambda: len(found := held.get(queue, 10, "peek", 1000)) == 4 and found)
    looks = 10 if limit in (0, 1, 2, 3) else 30  # RabbitMQ 4's own limit is 20
    for _ in range(looks):
        assert plain(held.get(queue, 10, "peek", 1000)) == plain(first)
    assert waiting(channel, dead) == 0
    assert waiting(channel, "elsewhere") == others, "no copy is routed by its CC"
    for _ in range(looks):
        held.get(queue, 2, "peek", 1000)
    found = take(broker, queue)
    assert sorted(properties.message_id for _, properties, _ in found) == ["0", "1", "2", "3"]
    assert {method.routing_key for method, _, _ in found} == {"order.new"}
    assert {properties.delivery_mode for _, properties, _ in found} == {1, 2}
    assert not [name for name in exchanges(broker) if name.startswith("workerrmq.look.")]


def exchanges(broker: BrokerNode) -> list[str]:
    return [one["name"] for one in broker.management.get("exchanges", "/").json()]


@pytest.mark.parametrize("arguments", [{"delivery_limit": 20}, {}, {"queue_type": "classic"}])
def test_a_look_at_the_first_ones_leaves_them_in_their_place(
    reader: QueueReader, channel: BlockingChannel, declare: Declare, arguments: dict[str, Any]
) -> None:
    queue = declare(**arguments)
    fill(channel, queue)
    held = HeldMessages(reader)
    wait_until(lambda: waiting(channel, queue) == 4)
    for _ in range(5):
        assert ids(held.get(queue, 2, "peek", 1000)) == ["0", "1"]


def test_the_limit_of_a_policy_counts(
    broker: BrokerNode, reader: QueueReader, channel: BlockingChannel, declare: Declare, dead: str
) -> None:
    if broker.name == "embedded":
        pytest.skip("the embedded broker has no policies")
    queue = declare()
    policy = {"pattern": f"^{queue}$", "definition": {"delivery-limit": 2}, "apply-to": "queues"}
    assert broker.management.put("policies", "/", "low", body=policy).ok
    path = ("queues", "/", queue)
    wait_until(lambda: broker.management.get(*path).json().get("effective_policy_definition"), 20)
    fill(channel, queue)
    held = HeldMessages(reader)
    wait_until(lambda: waiting(channel, queue) == 4)
    for _ in range(20):
        assert sorted(ids(held.get(queue, 10, "peek", 1000))) == ["0", "1", "2", "3"]
    assert waiting(channel, dead) == 0


@pytest.mark.parametrize(("limit", "times"), [(2, 10), (3, 10), (20, 30)])
def test_more_dry_runs_and_filtered_replays_than_any_limit_leave_what_they_do_not_replay(
    reader: QueueReader,
    publisher: PublisherThread,
    channel: BlockingChannel,
    declare: Declare,
    dead: str,
    unique_name: str,
    limit: int,
    times: int,
) -> None:
    queue = declare(delivery_limit=limit)
    fill(channel, queue)
    wait_until(lambda: waiting(channel, queue) == 4)
    replay = DeadLetterReplay(reader, publisher)
    dry = ReplayRequest(queue_name="none", dead_letter_queue=queue, dry_run=True)
    other = ReplayRequest(queue_name="none", dead_letter_queue=queue, filter=DeadLetterFilter(message_ids=("9",)))
    failing = ReplayRequest(queue_name=f"{unique_name}-missing", dead_letter_queue=queue)
    for _ in range(times):
        found = [replay.run(one, threading.Event(), lambda _: None) for one in (dry, other, failing)]
        assert found == [Progress(4, 4, 4), Progress(4, 4, 0), Progress(4, 4, 4, failed=4)]
    wait_until(lambda: waiting(channel, queue) == 4)
    assert waiting(channel, dead) == 0


def test_two_who_look_at_once_lose_nothing(
    broker: BrokerNode, reader: QueueReader, channel: BlockingChannel, declare: Declare, dead: str
) -> None:
    queue = declare(delivery_limit=1)
    fill(channel, queue, 8)
    wait_until(lambda: waiting(channel, queue) == 8)
    held = HeldMessages(reader)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: held.get(queue, 10, "peek", 1000), range(40)))
    assert sorted(properties.message_id for _, properties, _ in take(broker, queue)) == list("01234567")
    assert waiting(channel, dead) == 0


def test_nothing_is_taken_while_no_copy_could_be_made(
    broker: BrokerNode, reader: QueueReader, channel: BlockingChannel, declare: Declare, dead: str
) -> None:
    queue = declare(delivery_limit=2)
    fill(channel, queue)
    wait_until(lambda: waiting(channel, queue) == 4)
    held = HeldMessages(reader)
    broker.set_memory_alarm(True)
    try:
        for _ in range(5):
            with pytest.raises(PublishRefused):
                held.get(queue, 10, "peek", 1000)
    finally:
        broker.set_memory_alarm(False)
    wait_until(lambda: sorted(ids(held.get(queue, 10, "peek", 1000))) == ["0", "1", "2", "3"], 20)
    assert waiting(channel, dead) == 0


def test_a_full_queue_that_refuses_can_be_looked_at(
    reader: QueueReader, channel: BlockingChannel, declare: Declare, dead: str
) -> None:
    queue = declare(delivery_limit=2, max_length=4, overflow="reject-publish")
    fill(channel, queue)
    wait_until(lambda: waiting(channel, queue) == 4)
    held = HeldMessages(reader)
    for _ in range(10):
        assert sorted(ids(held.get(queue, 10, "peek", 1000))) == ["0", "1", "2", "3"]
    assert waiting(channel, dead) == 0


def test_a_user_id_of_another_user_is_set_aside_in_a_copy(
    broker: BrokerNode, publisher: PublisherThread, channel: BlockingChannel, declare: Declare
) -> None:
    broker.management.put("users", "someone", body={"password": "else", "tags": "monitoring"})
    broker.management.put("permissions", "/", "someone", body={"configure": ".*", "write": ".*", "read": ".*"})
    queue = declare(delivery_limit=1)
    channel.basic_publish("", queue, b"mine", pika.BasicProperties(user_id="guest", message_id="0"))
    wait_until(lambda: waiting(channel, queue) == 1)
    nodes = BrokerNodes.parse(broker.amqp_url.replace("guest:guest", "someone:else"))
    theirs = PublisherThread(nodes)
    theirs.start()
    try:
        wait_until(lambda: theirs.connected, 15)
        held = HeldMessages(reader_of(broker, nodes, theirs))
        for _ in range(5):
            assert ids(held.get(queue, 10, "peek", 1000)) == ["0"]
    finally:
        theirs.stop()


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
def test_a_stream_is_refused_and_a_missing_queue_is_missing(
    reader: QueueReader, channel: BlockingChannel, unique_name: str
) -> None:
    channel.queue_declare(unique_name, durable=True, arguments={"x-queue-type": "stream"})
    with pytest.raises(Invalid, match="stream"):
        HeldMessages(reader).get(unique_name, 1, "peek", 0)
    with pytest.raises(NotFound):
        HeldMessages(reader).get(f"{unique_name}-not", 1, "peek", 0)


def test_looks_at_many_dead_letters_in_a_quorum_queue_keep_their_order(
    broker: BrokerNode, reader: QueueReader, channel: BlockingChannel, unique_name: str
) -> None:
    """RabbitMQ 3.10 returns more than 32 messages of basic.get in any order."""
    queue = f"{unique_name}.dlq"
    unlimited = {"x-delivery-limit": -1} if broker.name == "rabbitmq4" else {}
    channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum", **unlimited})
    channel.confirm_delivery()
    for number in range(300):
        channel.basic_publish("", queue, str(number).encode())
    held = HeldMessages(reader)
    for most in (200, 300, 1, 1000, 40):
        seen: list[int] = []
        total, examined = held.examine(queue, most, lambda source, seen=seen: seen.append(int(source.body)))
        assert (total, examined) == (300, min(most, 300))
        assert seen == list(range(min(most, 300)))
        assert [one.message for one in held.get(queue, 2, "peek", 9)] == ["0", "1"]
    assert [int(one.message or "") for one in held.get(queue, 300, "take", 9)] == list(range(300))

"""Faults that a reader found who had not seen the code; most of these tests failed when they were written."""

from __future__ import annotations

import time
from collections.abc import Callable

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from delivery.periods import Periods
from domain.consumer import BreakerPolicy, ConsumerSpec
from domain.errors import WorkerError
from domain.registry import UNDESCRIBED_QUEUE, QueueFacts
from gateway.amqp.held_messages import HeldMessages
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.publisher_thread import PublisherThread
from gateway.consuming.breakers import Breakers, TargetBreaker
from tests.delivery.reading import reader_of
from tests.delivery.running import Consumers
from tests.support.amqp import declare_until_consumed, publish, ready, take
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.rabbitmq import RabbitNode
from tests.support.target import Target

pytestmark = pytest.mark.versions


def quorum(channel: BlockingChannel, name: str, limit: int | None = None, **arguments: object) -> QueueFacts:
    given = {"x-" + key.replace("_", "-"): value for key, value in arguments.items()}
    if limit is not None:
        given["x-delivery-limit"] = limit
    channel.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum", **given})
    return QueueFacts(type="quorum", delivery_limit=limit, expires="expires" in arguments)


class StoppedLoop:
    def call_later(self, _seconds: float, _callback: Callable[[], None]) -> None: ...


# --- throttling -----------------------------------------------------------------------------------------------------


def test_a_target_may_throttle_without_a_time_for_longer_than_a_day() -> None:
    breaker = TargetBreaker(StoppedLoop(), "http://target", BreakerPolicy(), 60.0)  # type: ignore[arg-type]
    for _ in range(24 * 60 + 1):  # a pause is a minute
        breaker.pause(breaker.pause_without_time(), "HTTP 429")
        breaker._opens_until = 0.0
        breaker._half_open()
        assert breaker.take_probe()


def test_a_target_that_throttles_without_a_time_is_tried_again_after_each_longest_pause(
    make_consumers: Callable[..., Consumers], channel: BlockingChannel, queue: str, target: Target
) -> None:
    consumers = make_consumers(periods=Periods(longest_pause=1.0))
    target.answer = lambda _request: 429 if target.count < 7 else 200  # 63 s if the pause went on doubling
    publish(channel, queue, b"body", message_id="m-1")
    consumers.deliver(queue, target.url())
    wait_until(lambda: (one := consumers.report(queue)) and one.delivered == 1, 20)


def test_a_default_port_is_the_same_target() -> None:
    breakers = Breakers(StoppedLoop(), 60.0)  # type: ignore[arg-type]
    one, other = (ConsumerSpec(queue_name="q", url=url) for url in ("http://erp/a", "http://erp:80/b"))
    assert breakers.of(one) is breakers.of(other)


# --- breaker --------------------------------------------------------------------------------------------------------


def test_a_consumer_that_is_changed_to_a_sound_target_while_it_probes_runs_at_full_width(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, b"0")
    breaker = {"failures": 1, "openSeconds": 1}
    consumers.run(queue, target.url("/status/500"), breaker=breaker, retry={"schedule": (60,), "jitter": 0})
    consumers.wait(queue, "breaker-open")
    consumers.wait(queue, "probing")  # its queue is empty: it probes until somebody publishes
    with Target() as sound:
        consumers.run(queue, sound.url("/hold"), breaker=breaker, prefetch=20)
        consumers.wait(queue, "probing", "running", "failing", revision=2)  # else the first target gets a message
        publish(channel, queue, *map(str, range(20)))
        try:
            sound.wait_for(20, 10)
        except AssertionError as exc:
            raise AssertionError(f"{sound.count} under way of 20; {consumers.report(queue)}") from exc
        finally:
            sound.release()


@pytest.mark.parametrize("broker", ["rabbitmq", "rabbitmq4"], indirect=True)
def test_an_ordered_consumer_keeps_its_order_when_its_breaker_opens_and_closes(
    consumers: Consumers, channel: BlockingChannel, unique_name: str, target: Target
) -> None:
    facts = quorum(channel, unique_name, 1)
    publish(channel, unique_name, *map(str, range(12)), delivery_mode=2)
    target.answer = lambda _request: 500 if target.count <= 2 else 200
    consumers.deliver(
        unique_name, target.url(), facts=facts, ordering="queue", prefetch=4,
        retry={"schedule": (1,) * 5, "jitter": 0}, breaker={"failures": 2, "openSeconds": 1},
    )  # fmt: skip
    wait_until(lambda: (one := consumers.report(unique_name)) and one.delivered == 12, 30)
    assert [int(one.body) for one in target.requests][-12:] == list(range(12))


# --- holding --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broker", ["rabbitmq", "rabbitmq4"], indirect=True)
def test_an_expiring_queue_outlives_the_pause_of_its_ordered_consumer(
    make_consumers: Callable[..., Consumers], channel: BlockingChannel, unique_name: str, target: Target
) -> None:
    consumers = make_consumers(periods=Periods(held=0.9))
    consumers.run(
        unique_name, target.url("/retry-after?seconds=6&status=429&times=1"), facts=QueueFacts(expires=True),
        ordering="queue",
    )  # fmt: skip
    declare_until_consumed(channel, unique_name, {"x-expires": 1500})
    for number in range(2):
        publish(channel, unique_name, str(number), message_id=f"m-{number}")
    wait_until(lambda: (one := consumers.report(unique_name)) and one.delivered == 2, 60)


@pytest.fixture
def impatient(broker: RabbitNode) -> object:
    broker.set_consumer_timeout(3)
    yield
    broker.set_consumer_timeout(None)


@pytest.mark.parametrize("broker", ["rabbitmq", "rabbitmq4"], indirect=True)
@pytest.mark.parametrize("answer", [429, 500])
def test_an_ordered_consumer_whose_target_is_down_for_long_loses_nothing(
    impatient: None,
    broker: RabbitNode,
    make_consumers: Callable[..., Consumers],
    channel: BlockingChannel,
    unique_name: str,
    target: Target,
    answer: int,
) -> None:
    """As in production, where a message is held for 10 minutes and RabbitMQ's timeout is 30."""
    facts = quorum(channel, unique_name, 2)
    target.answer = lambda request: answer if request.when < target.requests[0].when + 12 else 200
    consumers = make_consumers(broker.amqp_url, periods=Periods(held=1.1))
    publish(channel, unique_name, *map(str, range(5)), delivery_mode=2)
    consumers.deliver(
        unique_name, target.url(), facts=facts, ordering="queue",
        retry={"schedule": (1,) * 50, "jitter": 0}, breaker={"failures": 3, "openSeconds": 1},
    )  # fmt: skip
    wait_until(lambda: (one := consumers.report(unique_name)) and one.delivered == 5, 90)


@pytest.mark.parametrize("broker", ["rabbitmq", "rabbitmq4"], indirect=True)
def test_a_slow_rate_does_not_wear_out_what_waits_for_its_turn(
    impatient: None,
    broker: RabbitNode,
    make_consumers: Callable[..., Consumers],
    channel: BlockingChannel,
    unique_name: str,
    target: Target,
) -> None:
    facts = quorum(channel, unique_name, 2)
    consumers = make_consumers(broker.amqp_url, periods=Periods(held=1.0))
    publish(channel, unique_name, *map(str, range(10)), delivery_mode=2)
    consumers.deliver(unique_name, target.url(), facts=facts, rate_limit={"perSecond": 1, "burst": 1})
    wait_until(lambda: len({one.body for one in target.requests}) == 10, 60)


@pytest.mark.parametrize("broker", ["rabbitmq", "rabbitmq4"], indirect=True)
@pytest.mark.parametrize("ordering", ["none", pytest.param("queue", marks=pytest.mark.soak)])
def test_a_memory_alarm_that_outlasts_the_consumer_timeout_loses_nothing(
    impatient: None,
    broker: RabbitNode,
    make_consumers: Callable[..., Consumers],
    channel: BlockingChannel,
    unique_name: str,
    target: Target,
    ordering: str,
) -> None:
    """The target fails until the alarm is over."""
    target.answer = 500
    facts = quorum(channel, unique_name, 2)
    publish(channel, unique_name, *map(str, range(5)), delivery_mode=2)
    consumers = make_consumers(broker.amqp_url, periods=Periods(held=1.0, confirm=1.0))
    broker.set_memory_alarm(True)
    try:
        consumers.run(unique_name, target.url(), facts=facts, retry={"schedule": (1,) * 50}, ordering=ordering)
        target.wait_for(1)
        time.sleep(18)
    finally:
        target.answer = 200
        broker.set_memory_alarm(False)
    wait_until(lambda: len(target.delivered()) >= 5, 30, "5 delivered")


# --- copies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broker", ["rabbitmq", "rabbitmq4"], indirect=True)
@pytest.mark.parametrize("ordering", ["none", "queue"])
def test_a_message_near_its_limit_whose_dead_letter_is_refused_for_long_is_not_stuck(
    make_consumers: Callable[..., Consumers],
    channel: BlockingChannel,
    unique_name: str,
    target: Target,
    ordering: str,
) -> None:
    facts = quorum(channel, unique_name, 1)
    full = f"{unique_name}.dlq"
    channel.queue_declare(full, durable=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    publish(channel, full, b"filler")
    consumers = make_consumers(periods=Periods(held=0.5))
    publish(channel, unique_name, b"body", message_id="m-1", delivery_mode=2)
    consumers.deliver(unique_name, target.url("/status/422"), ordering=ordering, facts=facts)
    target.wait_for(3)  # given back and delivered again, several times
    channel.queue_purge(full)
    (letter,) = take(channel, full, 1)
    assert letter.properties.message_id == "m-1"


@pytest.mark.parametrize("internal", [True, False])
def test_a_dead_letter_exchange_without_write_permission_does_not_affect_other_consumers(
    consumers: Consumers, channel: BlockingChannel, unique_name: str, target: Target, broker: BrokerNode, internal: bool
) -> None:
    """RabbitMQ itself dead-letters into internal exchanges."""
    exchange, dead = f"{unique_name}-x", f"{unique_name}-dead"
    channel.exchange_declare(exchange, "fanout", internal=internal)
    channel.queue_declare(dead, durable=True)
    channel.queue_bind(dead, exchange)
    channel.queue_declare(unique_name, durable=True)
    publish(channel, unique_name, b"body", message_id="m-1")
    facts = QueueFacts(dead_letter=(exchange, None))
    consumers.deliver(unique_name, target.url("/status/422"), facts=facts)
    wait_until(
        lambda: ready(channel, dead) == 1 or ((one := consumers.report(unique_name)) and one.dead_lettered == 1), 15
    )


@pytest.mark.parametrize("name", ["мёртвые", "x" * 240])
def test_a_dead_letter_exchange_that_is_missing_gives_way_whatever_its_name(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, name: str
) -> None:
    channel.queue_declare(f"{queue}.dlq", durable=True)
    publish(channel, queue, b"body", message_id="m-1")
    consumers.deliver(queue, target.url("/status/422"), facts=QueueFacts(dead_letter=(name, None)))
    (letter,) = take(channel, f"{queue}.dlq", 1, timeout=15)
    assert letter.properties.message_id == "m-1"


# --- what stands ----------------------------------------------------------------------------------------------------


def test_a_due_exchange_that_somebody_deletes_comes_back(
    make_consumers: Callable[..., Consumers], channel: BlockingChannel, queue: str, target: Target
) -> None:
    consumers = make_consumers(periods=Periods(verify=0.5, declare_again=0.5))
    url = target.url("/status/500?times=1")
    consumers.deliver(queue, url, retry={"schedule": (4,), "jitter": 0})
    publish(channel, queue, b"body", message_id="m-1")
    target.wait_for(1)
    channel.exchange_delete("workerrmq.due")
    target.wait_for(2, 25)


def test_retries_return_after_another_worker_has_declared_the_due_exchange_again(
    make_consumers: Callable[..., Consumers], channel: BlockingChannel, queue: str, target: Target
) -> None:
    consumers = make_consumers(periods=Periods(verify=0.5, declare_again=0.5))
    consumers.deliver(queue, target.url("/status/500?times=1"), retry={"schedule": (2,), "jitter": 0})
    channel.exchange_delete("workerrmq.due")
    make_consumers()  # declares it
    wait_until(lambda: exists(channel, "workerrmq.due"))
    publish(channel, queue, b"body", message_id="m-1")
    try:
        target.wait_for(2, 15)
    except AssertionError as exc:
        raise AssertionError(f"{ready(channel, 'workerrmq.orphans')} in workerrmq.orphans") from exc


def exists(channel: BlockingChannel, exchange: str) -> bool:
    other = channel.connection.channel()
    try:
        other.exchange_declare(exchange, passive=True)
    except pika.exceptions.ChannelClosedByBroker:
        return False
    other.close()
    return True


@pytest.mark.parametrize("broker", ["rabbitmq", "rabbitmq4"], indirect=True)
def test_a_consumer_that_starts_while_the_management_api_is_down_loses_nothing(
    make_consumers: Callable[..., Consumers], channel: BlockingChannel, unique_name: str, target: Target
) -> None:
    """As services/reconciler.py tells it to: with UNDESCRIBED_QUEUE."""
    quorum(channel, unique_name, 2)
    consumers = make_consumers()
    publish(channel, unique_name, *map(str, range(5)), delivery_mode=2)
    target.answer = lambda request: 429 if request.when < target.requests[0].when + 12 else 200
    consumers.deliver(unique_name, target.url(), facts=UNDESCRIBED_QUEUE, prefetch=1)
    wait_until(lambda: (one := consumers.report(unique_name)) and one.delivered == 5, 30)


@pytest.mark.parametrize("broker", ["rabbitmq", "rabbitmq4"], indirect=True)
def test_a_dead_letter_queue_made_while_the_management_api_is_down_is_of_its_queues_type(
    consumers: Consumers, channel: BlockingChannel, unique_name: str, target: Target, broker: BrokerNode
) -> None:
    facts = quorum(channel, unique_name, 2)
    name = f"{unique_name}.dlq"
    consumers.deliver(unique_name, target.url(), facts=UNDESCRIBED_QUEUE)
    consumers.deliver(unique_name, target.url("/ok"), facts=facts)  # now it is described
    made = wait_until(lambda: (one := broker.management.get("queues", "/", name)).ok and one.json())
    assert made["type"] == "quorum"


@pytest.mark.parametrize("broker", ["rabbitmq", "rabbitmq4"], indirect=True)
def test_looking_at_a_full_queue_does_not_use_up_its_limit(
    broker: BrokerNode, channel: BlockingChannel, unique_name: str
) -> None:
    quorum(channel, unique_name, 3, max_length=3, overflow="reject-publish")
    publisher = PublisherThread(BrokerNodes.parse(broker.amqp_url))
    publisher.start()
    wait_until(lambda: publisher.connected, 15)
    for number in range(3):
        publish(channel, unique_name, str(number), delivery_mode=2)
    held = HeldMessages(reader_of(broker, BrokerNodes.parse(broker.amqp_url), publisher))
    failed = 0
    try:
        for _ in range(12):
            try:
                held.get(unique_name, 1, "peek", 1000)
            except WorkerError:
                failed += 1
        assert ready(channel, unique_name) == 3, f"{failed} looks of 12 failed"
    finally:
        publisher.stop()


def test_one_consumers_bad_dead_letter_exchange_does_not_multiply_the_retries_of_others(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    exchange, other = f"{queue}-x", f"{queue}-other"
    channel.exchange_declare(exchange, "fanout", internal=True)
    channel.queue_declare(other, durable=True)
    consumers.deliver(other, target.url("/status/422"), facts=QueueFacts(dead_letter=(exchange, None)))
    target.answer = lambda request: 500 if int(request.id[2:]) % 2 and target.ids()[request.id] == 1 else 200
    consumers.deliver(queue, target.url(), retry={"schedule": (5,), "jitter": 0}, prefetch=500)
    quick = channel.connection.channel()  # without confirms
    for number in range(1000):
        publish(quick, queue, b"body" * 500, message_id=f"m-{number}")
        if number % 50 == 0:
            publish(quick, other, "poison")
    wait_until(lambda: len([one for one in target.delivered() if one.startswith("m-")]) == 1000, 60)
    consumers.remove(other)
    wait_until(lambda: not any(ready(channel, f"workerrmq.delay.{n}") for n in (0, 2)), 30, "no copies of copies left")
    twice = [one for one, count in target.delivered().items() if count > 1]
    assert not twice, f"{len(twice)} of 1000 came twice"


@pytest.mark.parametrize("broker", ["rabbitmq4"], indirect=True)
def test_a_user_who_may_not_configure_delivers_when_all_is_there(
    broker: RabbitNode,
    make_consumers: Callable[..., Consumers],
    consumers: Consumers,
    channel: BlockingChannel,
    queue: str,
    target: Target,
) -> None:
    consumers.deliver(queue, target.url())  # by guest: makes all that there is to make
    consumers.end(1)
    assert broker.management.put("users", "limited", body={"password": "limited", "tags": ""}).ok
    rights = {"configure": "^$", "write": ".*", "read": ".*"}
    assert broker.management.put("permissions", "/", "limited", body=rights).ok
    publish(channel, queue, b"body")
    limited = make_consumers(broker.amqp_url.replace("guest:guest", "limited:limited"))
    limited.run(queue, target.url())
    try:
        target.wait_for(1, 12)
    except AssertionError as exc:
        raise AssertionError(f"{limited.report(queue)} {limited.thread.snapshot().error}") from exc

"""A message is not settled before its copy is safe: while no copy can be made it stays, unacked, and then goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from delivery.periods import Periods
from gateway.amqp.confirm_channel import ConfirmChannel
from tests.conftest import REAL_BROKERS
from tests.delivery.breaking import close_connection
from tests.delivery.running import AT_ONCE, ONE_SECOND, Consumers
from tests.support.amqp import get, publish, ready, take
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.proxy import Proxy
from tests.support.rabbitmq import RabbitNode
from tests.support.target import Target

pytestmark = pytest.mark.versions


@pytest.fixture
def full_dead_letter_queue(channel: BlockingChannel, queue: str) -> str:
    """A dead-letter queue that refuses everything until it is purged."""
    name = f"{queue}.dlq"
    channel.queue_declare(name, durable=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    publish(channel, name, b"filler")
    return name


def test_a_message_whose_dead_letter_is_refused_stays_unacked_until_it_is_taken(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, full_dead_letter_queue: str
) -> None:
    publish(channel, queue, b"body", message_id="m-1")
    consumers.deliver(queue, target.url("/status/422"))
    report = wait_until(lambda: (one := consumers.report(queue)) and "refused" in (one.error or "") and one)
    assert (report.in_flight, report.dead_lettered) == (1, 0)
    channel.queue_purge(full_dead_letter_queue)
    (letter,) = take(channel, full_dead_letter_queue, 1)
    assert letter.properties.message_id == "m-1"
    wait_until(lambda: (one := consumers.report(queue)) and (one.in_flight, one.dead_lettered) == (0, 1))
    consumers.end(5)
    assert ready(channel, queue) == ready(channel, full_dead_letter_queue) == 0
    assert target.count == 1


def test_a_message_whose_dead_letter_is_refused_is_still_there_when_the_worker_ends(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, full_dead_letter_queue: str
) -> None:
    publish(channel, queue, b"body", message_id="m-1")
    consumers.deliver(queue, target.url("/status/422"))
    wait_until(lambda: (one := consumers.report(queue)) and "refused" in (one.error or ""))
    consumers.end()
    (message,) = take(channel, queue, 1)
    assert (message.properties.message_id, message.headers) == ("m-1", {})


def test_under_a_memory_alarm_deliveries_are_acked_and_no_copy_is_made_twice(
    consumers: Consumers, channel: BlockingChannel, queue: str, broker: BrokerNode, target: Target
) -> None:
    good = f"{queue}-good"
    channel.queue_declare(good, durable=True)
    consumers.deliver(queue, target.url("/hold"), retry=AT_ONCE)
    consumers.deliver(good, target.url("/ok"))
    publish(channel, queue, *"12345")
    wait_until(lambda: target.held == 5)
    publish(channel, good, b"body")
    broker.set_memory_alarm(True)
    try:
        wait_until(lambda: (one := consumers.report(good)) and (one.delivered, one.in_flight) == (1, 0))
        target.release(422)
        wait_until(lambda: (one := consumers.report(queue)) and one.state == "failing")
        assert ready(channel, f"{queue}.dlq") == 0
        assert (one := consumers.report(queue))
        assert one.in_flight == 5
    finally:
        broker.set_memory_alarm(False)
    letters = take(channel, f"{queue}.dlq", 5)
    assert sorted(letter.body for letter in letters) == [b"1", b"2", b"3", b"4", b"5"]
    wait_until(lambda: (one := consumers.report(queue)) and one.in_flight == 0, 20)
    consumers.end(5)
    assert get(channel, f"{queue}.dlq") is None
    assert ready(channel, queue) == 0


def test_copies_go_on_when_their_own_connection_is_lost(
    consumers: Consumers, channel: BlockingChannel, queue: str, broker: BrokerNode, target: Target
) -> None:
    consumers.deliver(queue, target.url("/hold"), retry=ONE_SECOND, prefetch=10, breaker={"failures": 10_000})
    publish(channel, queue, *map(str, range(10)))
    wait_until(lambda: target.held == 10)
    close_connection(broker, "test-consumer-copies")
    target.release(500)
    wait_until(lambda: target.held == 10, 20)
    target.release(200)
    wait_until(lambda: (one := consumers.report(queue)) and (one.delivered, one.in_flight) == (10, 0))


@pytest.mark.parametrize("broker", REAL_BROKERS, indirect=True)
def test_a_failure_while_copies_have_no_connection_waits_for_the_next_one(
    broker: RabbitNode, make_consumers: Callable[..., Consumers], unique_name: str, target: Target
) -> None:
    consumers = make_consumers(broker.amqp_url)
    limit = ("user-limits", "guest", "max-connections")
    with broker.connect() as connection:
        channel = connection.channel()
        channel.queue_declare(unique_name, durable=True)
        publish(channel, unique_name, b"body")
        consumers.deliver(unique_name, target.url("/hold"), retry=ONE_SECOND)
        wait_until(lambda: target.held == 1)
        assert broker.management.put(*limit, body={"value": 0}).ok
        close_connection(broker, "test-consumer-copies")
        target.release(500)
        wait_until(lambda: (one := consumers.report(unique_name)) and one.state == "failing")
        assert broker.management.delete(*limit).ok
        wait_until(lambda: target.held == 1, 20)
        target.release(200)
        wait_until(lambda: (one := consumers.report(unique_name)) and (one.delivered, one.in_flight) == (1, 0))


@pytest.fixture
def sending(
    make_consumers: Callable[..., Consumers], proxied_url: str, channel: BlockingChannel, queue: str, target: Target
) -> Consumers:
    """By way of the proxy, with a message at the target, which does not answer yet."""
    consumers = make_consumers(proxied_url)
    publish(channel, queue, b"body")
    consumers.deliver(queue, target.url("/hold"))
    wait_until(lambda: target.held == 1)
    return consumers


def test_a_copy_that_waits_for_a_connection_is_not_made_when_its_message_has_gone_back_to_the_queue(
    sending: Consumers, broker: BrokerNode, between: Proxy, channel: BlockingChannel, queue: str, target: Target
) -> None:
    between.shut_out()
    close_connection(broker, "test-consumer-copies")
    target.release(422)
    sending.wait(queue, "failing")
    between.reset()
    between.flow()
    wait_until(lambda: target.held == 1, 20)
    target.release(422)
    wait_until(lambda: (one := sending.report(queue)) and (one.dead_lettered, one.in_flight) == (1, 0))
    assert ready(channel, f"{queue}.dlq") == 1


def test_a_copy_without_a_connection_is_reported_and_its_limit_for_the_confirm_runs_again(
    make_consumers: Callable[..., Consumers],
    proxied_url: str,
    broker: BrokerNode,
    between: Proxy,
    channel: BlockingChannel,
    queue: str,
    target: Target,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    confirmed, silent = ConfirmChannel._on_confirm, True

    def confirm(self: ConfirmChannel, frame: Any) -> None:
        if not silent:
            confirmed(self, frame)

    sending = make_consumers(proxied_url, periods=Periods(confirm=0.2))
    publish(channel, queue, b"body")
    sending.deliver(queue, target.url("/hold"))
    wait_until(lambda: target.held == 1)
    between.shut_out()
    close_connection(broker, "test-consumer-copies")
    target.release(422)
    wait_until(lambda: (one := sending.report(queue)) and "cannot be reached" in (one.copy_error or ""))
    monkeypatch.setattr(ConfirmChannel, "_on_confirm", confirm)
    between.flow()
    wait_until(lambda: (one := sending.report(queue)) and "did not confirm a copy for" in (one.copy_error or ""), 20)
    silent = False
    wait_until(lambda: (one := sending.report(queue)) and (one.dead_lettered, one.in_flight) == (1, 0), 20)
    assert (report := sending.report(queue))
    assert report.copy_error is None


def test_a_copy_that_is_confirmed_late_and_once_more_settles_its_message_once(
    make_consumers: Callable[..., Consumers],
    proxied_url: str,
    between: Proxy,
    channel: BlockingChannel,
    queue: str,
    target: Target,
) -> None:
    sending = make_consumers(proxied_url, periods=Periods(confirm=0.2))
    publish(channel, queue, b"body")
    sending.deliver(queue, target.url("/hold"))
    wait_until(lambda: target.held == 1)
    between.stall()
    target.release(422)
    wait_until(lambda: (one := sending.report(queue)) and "did not confirm a copy for" in (one.error or ""))
    between.flow()
    wait_until(lambda: (one := sending.report(queue)) and one.in_flight == 0)
    publish(channel, queue, b"another")
    wait_until(lambda: target.held == 1)
    assert (report := sending.report(queue)) is not None
    assert report.dead_lettered == 1


@pytest.mark.parametrize(("status", "ordering"), [(422, "none"), (500, "none"), (500, "queue")])
def test_a_message_without_room_for_reasons_is_dead_lettered_unchanged_and_delays_no_other(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, status: int, ordering: str
) -> None:
    target.answer = lambda request: status if request.body == b"large" else 200
    large = {"x-large": "x" * 130_900}  # a frame has 131,072 bytes, and a larger one would end the connection
    publish(channel, queue, b"large", headers=large, message_id="m-1", expiration="3600000")
    publish(channel, queue, b"small")
    consumers.deliver(queue, target.url(), retry=ONE_SECOND, ordering=ordering)
    (letter,) = take(channel, f"{queue}.dlq", 1)
    assert (letter.body, letter.headers, letter.properties.message_id) == (b"large", large, "m-1")
    assert letter.properties.expiration is None

    def settled() -> bool:
        one = consumers.report(queue)
        return one is not None and (one.delivered, one.dead_lettered, one.in_flight) == (1, 1, 0)

    wait_until(settled)


@pytest.mark.parametrize(("frame_max", "keeps"), [(131_072, True), (4096, False)], ids=["a frame", "our frames"])
def test_a_message_that_leaves_no_room_at_all_is_dead_lettered_with_what_there_is_room_for(
    make_consumers: Callable[..., Consumers], broker: BrokerNode, channel: BlockingChannel, queue: str, target: Target,
    frame_max: int, keeps: bool,
) -> None:  # fmt: skip
    sent = {"x-large": "x" * 131_033}  # has a frame to itself, and no byte more; our frames may be smaller
    consumers = make_consumers(f"{broker.amqp_url}?frame_max={frame_max}")
    target.answer = lambda request: 422 if request.body == b"large" else 200
    publish(channel, queue, b"large", headers=sent)
    publish(channel, queue, b"small")
    consumers.deliver(queue, target.url())
    (letter,) = take(channel, f"{queue}.dlq", 1)
    assert (letter.body, letter.headers) == (b"large", sent if keeps else {})
    wait_until(lambda: (one := consumers.report(queue)) and (one.delivered, one.in_flight) == (1, 0))

"""Filters on real brokers: what the target gets, and what becomes of the messages that it does not."""

from __future__ import annotations

from typing import Any

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from domain.filter_pattern import FilterPattern
from domain.otherwise import Destination, Forward
from domain.registry import Report
from gateway.consuming.settlement import MOST_FORWARDS
from tests.delivery.running import ONE_SECOND, Consumers
from tests.support.amqp import get, publish, ready, wait_ready
from tests.support.processes import wait_until
from tests.support.target import Target

pytestmark = pytest.mark.versions

LARGE = FilterPattern({"body": {"total": {"$gte": 100}}})


def forward(exchange: str, routing_key: str) -> Forward:
    return Forward(forward=Destination(exchange=exchange, routing_key=routing_key))


def publish_orders(channel: BlockingChannel, queue: str, **properties: Any) -> None:
    """Two that LARGE admits, and two that it does not, of which one is no JSON."""
    for message_id, body in (("1", '{"total": 100}'), ("2", '{"total": 99}'), ("3", "total"), ("4", '{"total": 1e9}')):
        publish(channel, queue, body, message_id=message_id, **properties)


def delivered(target: Target) -> list[str]:
    return sorted(request.headers["webhook-id"] for request in target.requests)


def wait_filtered(consumers: Consumers, queue: str, number: int) -> None:
    wait_until(lambda: (report := consumers.report(queue)) and report.filtered == number, 20, f"{number} filtered")


@pytest.mark.broker_independent
def test_the_target_gets_what_the_filter_admits_and_the_rest_is_dead_lettered_uncharged(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish_orders(channel, queue, headers={"x-tenant": "acme"})
    consumers.deliver(queue, target.url(), filter=LARGE, otherwise="deadLetter")
    wait_ready(channel, f"{queue}.dlq", 2)
    target.wait_for(2)
    assert delivered(target) == ["1", "4"]
    wait_filtered(consumers, queue, 2)
    report = consumers.wait(queue, "running")
    assert (report.delivered, report.dead_lettered, report.error) == (2, 0, None)
    for one in (get(channel, f"{queue}.dlq") for _ in "12"):
        assert one is not None
        assert one.headers["workerrmq-outcome"] == one.headers["workerrmq-error"] == "filtered"
        assert one.headers["workerrmq-attempts"] == 0
        assert one.headers["x-tenant"] == "acme"
    results = {one.message_id: one.result for one in consumers.thread.take_attempts() if one.result != "delivered"}
    assert results == {"2": "filtered", "3": "filtered"}


def test_a_forwarded_message_is_the_one_that_was_published(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, unique_name: str
) -> None:
    other = f"{unique_name}.small"
    channel.exchange_declare(other, "topic", auto_delete=True)
    channel.queue_declare(other, durable=True)
    channel.queue_bind(other, other, "order.*")
    publish_orders(channel, queue, headers={"x-tenant": "acme"}, type="order", correlation_id="c-1")
    consumers.deliver(queue, target.url(), filter=LARGE, otherwise=forward(other, "order.small"))
    wait_ready(channel, other, 2)
    one = get(channel, other)
    assert one is not None
    assert (one.properties.message_id, one.body, one.properties.type) == ("2", b'{"total": 99}', "order")
    assert (one.properties.correlation_id, one.properties.delivery_mode) == ("c-1", 2)
    assert one.headers == {"x-tenant": "acme", "workerrmq-forwards": 1}
    target.wait_for(2)
    assert delivered(target) == ["1", "4"]
    wait_filtered(consumers, queue, 2)
    assert ready(channel, queue) == 0


def test_a_message_stays_while_it_can_be_forwarded_nowhere(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, unique_name: str
) -> None:
    other = f"{unique_name}.later"
    publish_orders(channel, queue)
    consumers.deliver(queue, target.url(), filter=LARGE, otherwise=forward("", other))
    target.wait_for(2)

    def refused() -> Report | None:
        """The report once the copies are refused, and the other two messages acked."""
        report = consumers.report(queue)
        return report if report and (report.refused_copies, report.in_flight) == (2, 2) else None

    report = wait_until(refused, 20, "copies refused")
    assert report
    assert other in (report.copy_error or "")
    assert report.filtered == 0
    channel.queue_declare(other, durable=True)
    wait_ready(channel, other, 2)
    wait_filtered(consumers, queue, 2)


@pytest.mark.broker_independent
def test_discarded_messages_are_gone_and_counted(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish_orders(channel, queue)
    consumers.deliver(queue, target.url(), filter=LARGE, otherwise="discard")
    wait_filtered(consumers, queue, 2)
    target.wait_for(2)
    assert delivered(target) == ["1", "4"]
    wait_until(lambda: ready(channel, queue) == ready(channel, f"{queue}.dlq") == 0)


def test_a_message_that_goes_in_a_circle_is_dead_lettered_in_the_end(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, unique_name: str
) -> None:
    channel.exchange_declare(f"{unique_name}.circle", "fanout", auto_delete=True)
    channel.queue_bind(queue, f"{unique_name}.circle")
    publish(channel, queue, '{"total": 1}', message_id="1")
    consumers.deliver(queue, target.url(), filter=LARGE, otherwise=forward(f"{unique_name}.circle", "x"))
    wait_ready(channel, f"{queue}.dlq", 1)
    wait_filtered(consumers, queue, MOST_FORWARDS + 1)
    assert not target.requests


@pytest.mark.broker_independent
def test_an_ordered_consumer_filters_in_order_and_a_filtered_message_holds_nothing_up(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    for number in range(8):
        publish(channel, queue, f'{{"total": {100 * (number % 2)}}}', message_id=str(number))
    consumers.deliver(
        queue, target.url("/status/503?times=1"), ordering="queue", filter=LARGE, otherwise="deadLetter",
        retry=ONE_SECOND,
    )  # fmt: skip
    wait_ready(channel, f"{queue}.dlq", 4)
    target.wait_for(8)  # the target refuses each message once
    assert [request.headers["webhook-id"] for request in target.requests] == list("11335577")
    dead = [one.properties.message_id for one in (get(channel, f"{queue}.dlq") for _ in "1234") if one]
    assert dead == ["0", "2", "4", "6"]


@pytest.mark.broker_independent
def test_a_filtered_message_says_nothing_of_the_target(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    breaker = {"failures": 2, "openSeconds": 1}
    consumers.deliver(
        queue, target.url("/status/503?times=2"), filter=LARGE, otherwise="discard", breaker=breaker, retry=ONE_SECOND
    )
    for number in range(2):
        publish(channel, queue, '{"total": 100}', message_id=f"yes-{number}")
    consumers.wait(queue, "breaker-open", "probing")
    for number in range(3):
        publish(channel, queue, '{"total": 1}', message_id=f"no-{number}")
    wait_filtered(consumers, queue, 3)
    target.wait_for(4)
    wait_until(lambda: (report := consumers.report(queue)) and report.delivered == 2, 20)

"""A retried message is the one that was published: nothing on it acts on the way, and nothing of it is lost."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from delivery.copies import original
from domain.message import Properties
from tests.delivery.running import ONE_SECOND, Consumers
from tests.support.amqp import get, publish, ready, take
from tests.support.processes import wait_until
from tests.support.target import Target

pytestmark = pytest.mark.versions

HEADERS: dict[str, Any] = {
    "text": "grün",
    "bytes": b"\xff\x00",
    "big": 2**40,
    "negative": -7,
    "float": 36.6,
    "truth": True,
    "nothing": None,
    "decimal": Decimal("12.34"),
    "when": datetime(2026, 11, 22, tzinfo=UTC),
    "table": {"list": [1, "two", {"three": 3.5}]},
    "x-death": [{"queue": "of the publisher", "count": 9, "reason": "rejected"}],
    "x-match": "all",
}
SENT = Properties(
    content_type="application/json",
    content_encoding="identity",
    headers=HEADERS,
    delivery_mode=1,
    priority=3,
    correlation_id="c-1",
    reply_to="answers",
    expiration="60000",
    message_id="m-1",
    timestamp=1_700_000_000,
    type="order",
    user_id="guest",
    app_id="shop",
)


@pytest.mark.parametrize("retries", [0, 1])
def test_properties_and_headers_are_what_the_publisher_sent(
    consumers: Consumers, channel: BlockingChannel, unique_name: str, target: Target, retries: int
) -> None:
    queue = unique_name
    channel.queue_declare(queue, durable=True, arguments={"x-max-priority": 5})
    channel.exchange_declare(f"{queue}-x", "topic")
    channel.queue_bind(queue, f"{queue}-x", "orders.#")
    fields = {name: getattr(SENT, name) for name in Properties.__slots__}
    channel.basic_publish(f"{queue}-x", "orders.new", b"body", pika.BasicProperties(**fields))
    consumers.deliver(queue, target.url("/status/500"), retry={"schedule": (1,) * retries, "jitter": 0})
    (letter,) = take(channel, f"{queue}.dlq", 1)
    assert letter.properties.expiration is None
    assert letter.properties.delivery_mode == 2
    assert original("", "", letter.properties) == (f"{queue}-x", "orders.new", SENT)


def test_a_message_that_expires_soon_does_not_expire_in_a_delay_level(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    consumers.deliver(queue, target.url("/status/500?times=1"), retry={"schedule": (2,), "jitter": 0})
    publish(channel, queue, b"body", expiration="800")
    target.wait_for(2)
    wait_until(lambda: (one := consumers.report(queue)) and one.delivered == 1)


@pytest.mark.parametrize("header", ["CC", "BCC"])
def test_a_message_that_was_copied_to_others_is_retried_for_one_queue_alone(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, header: str
) -> None:
    other = f"{queue}-other"
    channel.queue_declare(other, durable=True)
    publish(channel, queue, b"body", headers={header: [other]})
    consumers.deliver(queue, target.url("/status/500"), retry=ONE_SECOND)
    (letter,) = take(channel, f"{queue}.dlq", 1)
    assert target.count == 2
    assert get(channel, other) is not None
    assert ready(channel, other) == 0
    sent = original("", "", letter.properties)[2].headers or {}
    assert sent.get("CC") == ([other] if header == "CC" else None)


def test_a_message_that_went_in_circles_before_can_still_be_retried(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    # RabbitMQ drops a message that expires a second time in the same queue, by its x-death.
    death = [{"queue": f"workerrmq.delay.{one}", "reason": "expired", "count": 1, "exchange": "", "routing-keys": [""]}
             for one in (0, 1)]  # fmt: skip
    publish(channel, queue, b"body", headers={"x-death": death})
    consumers.deliver(queue, target.url("/status/500?times=3"), retry={"schedule": (1, 1, 1), "jitter": 0})
    target.wait_for(4)
    wait_until(lambda: (one := consumers.report(queue)) and one.delivered == 1)

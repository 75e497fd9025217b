"""A retried message is the one that was published: nothing on it acts on the way, and nothing of it is lost."""

from __future__ import annotations

import struct
from dataclasses import replace

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from amqp_wire.table import decode_value, encode_value
from delivery.copies import original
from domain.message import Properties
from tests.delivery.raw import Raw, raw_values
from tests.delivery.running import ONE_SECOND, Consumers
from tests.support.amqp import get, publish, ready, take
from tests.support.processes import wait_until
from tests.support.target import Target

pytestmark = pytest.mark.versions


def sized(letter: bytes, content: bytes) -> Raw:
    return Raw(letter + struct.pack(">I", len(content)) + content)


NUMBERS: dict[str, Raw] = {
    letter: Raw(struct.pack(f">c{layout}", letter.encode(), value))
    for letter, layout, value in [
        ("b", "b", -7), ("B", "B", 7), ("s", "h", -7), ("u", "H", 7), ("I", "i", -7), ("i", "I", 7), ("l", "q", 7),
        ("f", "f", 36.6), ("d", "d", 36.6), ("t", "?", True), ("T", "Q", 1_700_000_000),
    ]
}  # fmt: skip
HEADERS: dict[str, Raw] = {
    **NUMBERS,
    "big": Raw(struct.pack(">cq", b"l", 2**40)),
    "text": sized(b"S", "grün".encode()),
    "not UTF-8": sized(b"S", b"\xff\x00"),
    "binary": sized(b"x", b"text"),
    "nothing": Raw(b"V"),
    "decimal": Raw(struct.pack(">cBi", b"D", 3, 12_340)),
    "beyond the calendar": Raw(struct.pack(">cQ", b"T", 2**62)),
    "list": sized(b"A", b"".join(NUMBERS.values())),
    "x-death": sized(b"A", sized(b"F", b"\x05queue" + sized(b"S", b"q") + b"\x05countb\x09")),
    "x-match": sized(b"S", b"all"),
}
"""All types of field, byte by byte (AMQP 0-9-1 §4.2.5.5, with RabbitMQ's errata)."""
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
def test_properties_and_headers_are_byte_for_byte_what_the_publisher_sent(
    consumers: Consumers, channel: BlockingChannel, unique_name: str, target: Target, retries: int
) -> None:
    queue = unique_name
    channel.queue_declare(queue, durable=True, arguments={"x-max-priority": 5})
    channel.exchange_declare(f"{queue}-x", "topic")
    channel.queue_bind(queue, f"{queue}-x", "orders.#")
    fields = {name: getattr(SENT, name) for name in Properties.__slots__}
    with raw_values():
        channel.basic_publish(f"{queue}-x", "orders.new", b"body", pika.BasicProperties(**fields))
    consumers.deliver(queue, target.url("/status/500"), retry={"schedule": (1,) * retries, "jitter": 0})
    with raw_values():
        (letter,) = take(channel, f"{queue}.dlq", 1)
    assert letter.properties.expiration is None
    assert letter.properties.delivery_mode == 2
    letter.properties.headers = {name: decode_value(value) for name, value in letter.headers.items()}
    exchange, routing_key, sent = original("", "", letter.properties)
    assert (exchange, routing_key) == (f"{queue}-x", "orders.new")
    headers = {name: encode_value(value) for name, value in (sent.headers or {}).items()}
    assert replace(sent, headers=headers) == SENT


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

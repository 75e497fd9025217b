"""Routing by exchange type."""

from __future__ import annotations

from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.amqp import bodies, publish_confirmed, take, wait_ready


def arrives(
    channel: BlockingChannel, queue: str, exchange: str, key: str, headers: dict[str, Any] | None = None
) -> int:
    """Return the number of copies of one message that reach the queue."""
    channel.confirm_delivery()
    channel.basic_publish(exchange, key, b"x", pika.BasicProperties(headers=headers))
    return int(channel.queue_purge(queue).method.message_count)


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.b.c", False),
        ("*", "a", True),
        ("*", "", False),
        ("*", "a.b", False),
        ("*.b", "a.b", True),
        ("a.*.c", "a.b.c", True),
        ("a.*.c", "a.c", False),
        ("a.*.c", "a..c", True),
        ("#", "", True),
        ("#", "a.b.c", True),
        ("a.#", "a", True),
        ("a.#", "a.b.c", True),
        ("a.#", "b.a", False),
        ("#.c", "a.b.c", True),
        ("#.c", "c", True),
        ("#.b.#", "a.b.c", True),
        ("#.b.#", "a.c", False),
        ("a.#.#.c", "a.c", True),
        ("#.*", "", False),
        ("*.#", "a.b", True),
        ("#.*.#", "a", True),
        ("a.#.c.*", "a.b.c.d", True),
        ("a.#.c.*", "a.c", False),
        ("", "", True),
        ("a*", "a*", True),
        ("a*", "ab", False),
    ],
)
def test_a_topic_pattern_matches_word_by_word(
    channel: BlockingChannel, queue: str, unique_name: str, pattern: str, key: str, matches: bool
) -> None:
    exchange = f"{unique_name}-x"
    channel.exchange_declare(exchange, "topic")
    channel.queue_bind(queue, exchange, pattern)
    assert arrives(channel, queue, exchange, key) == int(matches)


def test_a_queue_bound_twice_gets_one_copy(channel: BlockingChannel, queue: str, unique_name: str) -> None:
    exchange = f"{unique_name}-x"
    channel.exchange_declare(exchange, "topic")
    channel.queue_bind(queue, exchange, "a.*")
    channel.queue_bind(queue, exchange, "#")
    assert arrives(channel, queue, exchange, "a.b") == 1
    channel.queue_unbind(queue, exchange, "#")
    assert arrives(channel, queue, exchange, "a.b") == 1
    channel.queue_unbind(queue, exchange, "a.*")
    assert arrives(channel, queue, exchange, "a.b") == 0


def test_a_direct_exchange_compares_the_whole_key(channel: BlockingChannel, queue: str) -> None:
    channel.queue_bind(queue, "amq.direct", "a.*")
    assert arrives(channel, queue, "amq.direct", "a.b") == 0
    assert arrives(channel, queue, "amq.direct", "a.*") == 1


def test_a_fanout_exchange_ignores_the_key(channel: BlockingChannel, queue: str) -> None:
    channel.queue_bind(queue, "amq.fanout", "some key")
    assert arrives(channel, queue, "amq.fanout", "another") == 1


@pytest.mark.parametrize(
    ("arguments", "headers", "matches"),
    [
        ({"x-match": "all", "a": 1, "b": "x"}, {"a": 1, "b": "x", "c": True}, True),
        ({"x-match": "all", "a": 1, "b": "x"}, {"a": 1}, False),
        ({"a": 1}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"x-match": "all"}, {}, True),
        ({"x-match": "all"}, None, True),
        ({"x-match": "any"}, {"a": 1}, False),
        ({"x-match": "any", "a": 1, "b": 2}, {"b": 2}, True),
        ({"x-match": "any", "a": 1, "b": 2}, {"a": 2}, False),
        ({"x-match": "all", "x-a": 1}, {"x-a": 2}, True),
        ({"x-match": "any", "x-a": 1}, {"x-a": 1}, False),
        ({"x-match": "all-with-x", "x-a": 1}, {"x-a": 2}, False),
        ({"x-match": "all-with-x", "x-a": 1}, {"x-a": 1}, True),
        ({"x-match": "any-with-x", "x-a": 1, "b": 2}, {"x-a": 1}, True),
        ({"x-match": "all", "a": None}, {"a": "anything"}, True),
        ({"x-match": "all", "a": None}, {"b": 1}, False),
        ({"x-match": "all", "a": "1"}, {"a": 1}, False),
        ({"x-match": "all", "a": True}, {"a": True}, True),
    ],
)
def test_a_headers_binding_matches_by_its_x_match(
    channel: BlockingChannel, queue: str, arguments: dict[str, Any], headers: dict[str, Any] | None, matches: bool
) -> None:
    channel.queue_bind(queue, "amq.headers", arguments=arguments)
    assert arrives(channel, queue, "amq.headers", "", headers) == int(matches)


def test_an_invalid_x_match_is_refused(channel: BlockingChannel, queue: str) -> None:
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as refusal:
        channel.queue_bind(queue, "amq.headers", arguments={"x-match": "some"})
    assert refusal.value.reply_code == 406


def test_cc_and_bcc_add_routing_keys_and_bcc_is_removed(channel: BlockingChannel, unique_name: str) -> None:
    names = [f"{unique_name}-{part}" for part in ("to", "cc", "bcc")]
    for name in names:
        channel.queue_declare(name)
    publish_confirmed(channel, names[0], "copied", headers={"CC": [names[1]], "BCC": [names[2]], "kept": 1})
    for name in names:
        message = take(channel, name, 1)[0]
        assert message.headers == {"CC": [names[1]], "kept": 1}


def test_a_message_arrives_unchanged(channel: BlockingChannel, queue: str) -> None:
    properties = pika.BasicProperties(
        content_type="application/json",
        content_encoding="utf-8",
        headers={"text": "ä", "int": -5, "big": 2**40, "yes": True, "list": [1, "b"], "map": {"k": None}},
        delivery_mode=1,
        priority=3,
        correlation_id="c-1",
        reply_to="somewhere",
        expiration="60000",
        message_id="m-1",
        timestamp=1_700_000_000,
        type="kind",
        user_id="guest",
        app_id="test",
    )
    channel.basic_publish("", queue, b"\x00\xff", properties)
    got = take(channel, queue, 1)[0]
    assert got.body == b"\x00\xff"
    assert vars(got.properties) == vars(properties)


@pytest.mark.parametrize("size", [0, 1, 131_064, 131_065, 1_000_000])
def test_bodies_of_every_size_arrive_whole(channel: BlockingChannel, queue: str, size: int) -> None:
    body = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    publish_confirmed(channel, queue, body)
    assert take(channel, queue, 1)[0].body == body


def test_order_is_kept(channel: BlockingChannel, queue: str) -> None:
    numbers = [str(number) for number in range(200)]
    publish_confirmed(channel, queue, *numbers)
    wait_ready(channel, queue, 200)
    assert bodies(take(channel, queue, 200)) == numbers

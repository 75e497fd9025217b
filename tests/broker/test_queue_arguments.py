"""The allowed queue arguments by queue type, and the error texts for all others."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.amqp import refused

DLX = "x-dead-letter-exchange"
QUORUM = {"x-queue-type": "quorum"}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"x-message-ttl": "soon"}, '"expected integer, got longstr"'),
        ({"x-message-ttl": True}, '"expected integer, got bool"'),
        ({"x-message-ttl": Decimal("1.5")}, '"expected integer, got decimal"'),
        ({"x-message-ttl": -1}, "{value_negative,-1}"),
        ({"x-message-ttl": 315360000001}, "{value_too_large,315360000001}"),
        ({"x-expires": 0}, "{value_zero,0}"),
        ({"x-expires": None}, '"expected integer, got void"'),
        ({"x-expires": 2**62}, f"{{value_too_large,{2**62}}}"),
        ({"x-max-length": -5}, "{value_negative,-5}"),
        ({"x-max-length": [1]}, '"expected integer, got array"'),
        ({"x-max-length-bytes": {"a": 1}}, '"expected integer, got table"'),
        ({"x-max-priority": 256}, "{max_value_exceeded,256}"),
        ({"x-max-priority": -1}, "{value_negative,-1}"),
        ({"x-overflow": "explode"}, "invalid_overflow"),
        ({"x-overflow": 2**40}, "{unacceptable_type,long}"),
        ({"x-queue-mode": "eager"}, "\"unsupported queue mode 'eager'\""),
        ({"x-queue-mode": b"\xff"}, "{unacceptable_type,binary}"),
        ({"x-queue-version": 3}, "\"unsupported queue version '3'\""),
        ({"x-queue-version": "2"}, '"expected integer, got longstr"'),
        ({"x-single-active-consumer": "yes"}, "{unacceptable_type,longstr}"),
        ({"x-queue-type": "cubic"}, "\"unsupported queue type 'cubic'\""),
        ({"x-queue-type": 7}, "{unacceptable_type,signedint}"),
        ({"x-dead-letter-routing-key": "k"}, "routing_key_but_no_dlx_defined"),
        ({"x-dead-letter-routing-key": 7}, "{unacceptable_type,signedint}"),
        (QUORUM | {"x-dead-letter-strategy": "sometimes"}, "invalid_dlx_strategy"),
        (QUORUM | {"x-quorum-initial-group-size": 0}, "{value_zero,0}"),
        (QUORUM | {"x-max-in-memory-length": -1}, "{value_negative,-1}"),
        (QUORUM | {"x-queue-leader-locator": "nearest"}, "invalid_queue_locator_arg"),
    ],
    ids=str,
)
def test_an_invalid_argument_is_refused(
    channel: BlockingChannel, unique_name: str, arguments: dict[str, Any], reason: str
) -> None:
    with refused(406) as refusal:
        channel.queue_declare(unique_name, durable=True, arguments=arguments)
    argument = list(arguments)[-1]
    assert (
        refusal.text
        == f"PRECONDITION_FAILED - invalid arg '{argument}' for queue '{unique_name}' in vhost '/': " + (reason)
    )


def test_a_dead_letter_exchange_must_be_a_name(channel: BlockingChannel, unique_name: str) -> None:
    with refused(406) as refusal:
        channel.queue_declare(unique_name, arguments={"x-message-ttl": -1, DLX: 7})
    assert refusal.text == (
        f"PRECONDITION_FAILED - invalid type 'signedint' for arg '{DLX}' in queue '{unique_name}' in vhost '/'"
    )


@pytest.mark.parametrize(
    ("kind", "argument"),
    [
        ("classic", "x-delivery-limit"),
        ("classic", "x-dead-letter-strategy"),
        ("classic", "x-queue-leader-locator"),
        ("classic", "x-max-age"),
        ("quorum", "x-max-priority"),
        ("quorum", "x-queue-mode"),
        ("quorum", "x-queue-version"),
        ("quorum", "x-stream-max-segment-size-bytes"),
    ],
)
def test_an_argument_of_another_queue_type_is_refused_with_any_value(
    channel: BlockingChannel, unique_name: str, kind: str, argument: str
) -> None:
    with refused(406) as refusal:
        channel.queue_declare(unique_name, durable=True, arguments={"x-queue-type": kind, argument: None})
    assert refusal.text == (
        f"PRECONDITION_FAILED - invalid arg '{argument}' for queue '{unique_name}' in vhost '/' of queue type "
        f"rabbit_{kind}_queue"
    )


def test_arguments_are_checked_in_rabbitmqs_order(channel: BlockingChannel, unique_name: str) -> None:
    with refused(406) as refusal:
        channel.queue_declare(unique_name, arguments={"x-queue-mode": "eager", "x-max-length": -2, "x-expires": 0})
    assert "'x-expires'" in refusal.text


@pytest.mark.parametrize(
    "arguments",
    [
        {"x-message-ttl": 315360000000},
        {"x-max-priority": 0},
        {"x-queue-version": 2},
        {"x-queue-type": "classic"},
        {"x-anything": "goes", "and": 1},
        QUORUM | {"x-delivery-limit": "three"},
        QUORUM | {"x-overflow": "reject-publish", DLX: "", "x-dead-letter-strategy": "at-least-once"},
        QUORUM | {"x-single-active-consumer": True, "x-queue-leader-locator": "balanced"},
    ],
    ids=str,
)
def test_rabbitmqs_valid_arguments_are_accepted(
    channel: BlockingChannel, unique_name: str, arguments: dict[str, Any]
) -> None:
    channel.queue_declare(unique_name, durable=True, arguments=arguments)
    channel.queue_declare(unique_name, durable=True, arguments=arguments)
    channel.queue_delete(unique_name)


def test_x_queue_type_classic_equals_no_type(channel: BlockingChannel, queue: str) -> None:
    assert channel.queue_declare(queue, arguments={"x-queue-type": "classic"}).method.queue == queue


def test_line_ends_are_removed_from_names(channel: BlockingChannel, queue: str, unique_name: str) -> None:
    channel.exchange_declare(f"{unique_name}\r\n", "fanout")
    channel.queue_bind(f"{queue}\n", f"{unique_name}\n")
    channel.confirm_delivery()
    channel.basic_publish(unique_name, "", b"routed", mandatory=True)


def test_an_exclusive_queue_is_never_durable(channel: BlockingChannel, unique_name: str) -> None:
    channel.queue_declare(unique_name, exclusive=True, durable=True)
    channel.queue_declare(unique_name, exclusive=True, durable=False)
    with refused(405):
        channel.queue_declare(unique_name, exclusive=False, durable=True)


def test_a_reserved_name_cannot_be_declared(channel: BlockingChannel) -> None:
    name = channel.queue_declare("", exclusive=True).method.queue
    with refused(403) as refusal:
        channel.queue_declare(name, exclusive=True)
    assert refusal.text == f"ACCESS_REFUSED - queue name '{name}' contains reserved prefix 'amq.*'"

"""Declaring, deleting and binding exchanges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.amqp import bodies, refused, take, wait_ready


@pytest.mark.parametrize("kind", ["direct", "fanout", "topic", "headers"])
def test_every_standard_type_can_be_declared_again(channel: BlockingChannel, unique_name: str, kind: str) -> None:
    for _ in range(2):
        channel.exchange_declare(unique_name, kind, durable=True, arguments={"alternate-exchange": "amq.fanout"})
    channel.exchange_delete(unique_name)


@pytest.mark.parametrize(
    ("property_name", "change"),
    [
        ("type", {"exchange_type": "fanout"}),
        ("durable", {"durable": True}),
        ("auto_delete", {"auto_delete": True}),
        ("internal", {"internal": True}),
        ("alternate-exchange", {"arguments": {"alternate-exchange": "amq.direct"}}),
    ],
)
def test_a_redeclaration_that_differs_is_refused(
    channel: BlockingChannel, unique_name: str, property_name: str, change: dict[str, Any]
) -> None:
    channel.exchange_declare(unique_name, "direct")
    with refused(406) as refusal:
        channel.exchange_declare(unique_name, **({"exchange_type": "direct"} | change))
    assert f"inequivalent arg '{property_name}' for exchange '{unique_name}' in vhost '/'" in refusal.text


def test_an_unknown_type_closes_the_connection(channel: BlockingChannel, unique_name: str) -> None:
    with refused(503) as refusal:
        channel.exchange_declare(unique_name, "x-nonsense")
    assert refusal.connection_closed
    assert refusal.text == "COMMAND_INVALID - unknown exchange type 'x-nonsense'"


def test_a_passive_declare_of_a_missing_exchange_is_404(channel: BlockingChannel, unique_name: str) -> None:
    with refused(404) as refusal:
        channel.exchange_declare(unique_name, passive=True)
    assert refusal.text == f"NOT_FOUND - no exchange '{unique_name}' in vhost '/'"


@pytest.mark.parametrize("name", ["amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match"])
def test_the_standard_exchanges_exist_and_cannot_be_deleted(channel: BlockingChannel, name: str) -> None:
    channel.exchange_declare(name, passive=True)
    with refused(403):
        channel.exchange_delete(name)


def test_reserved_names_are_refused(channel: BlockingChannel) -> None:
    with refused(403) as refusal:
        channel.exchange_declare("amq.mine", "direct")
    assert "contains reserved prefix 'amq.*'" in refusal.text


def test_the_default_exchange_cannot_be_declared_deleted_or_bound(channel: BlockingChannel, queue: str) -> None:
    connection = channel.connection
    actions: list[Callable[[], Any]] = [
        lambda: connection.channel().exchange_declare("", "direct"),
        lambda: connection.channel().exchange_delete(""),
        lambda: connection.channel().queue_bind(queue, "", "key"),
        lambda: connection.channel().queue_unbind(queue, "", "key"),
    ]
    for action in actions:
        with refused(403) as refusal:
            action()
        assert "operation not permitted on the default exchange" in refusal.text


def test_deleting_a_missing_exchange_is_no_error(channel: BlockingChannel, unique_name: str) -> None:
    channel.exchange_delete(unique_name)


def test_an_exchange_with_bindings_is_not_deleted_if_unused(
    channel: BlockingChannel, unique_name: str, queue: str
) -> None:
    channel.exchange_declare(unique_name, "direct")
    channel.queue_bind(queue, unique_name, "key")
    with refused(406) as refusal:
        channel.exchange_delete(unique_name, if_unused=True)
    assert refusal.text == f"PRECONDITION_FAILED - exchange '{unique_name}' in vhost '/' in use"


def test_an_auto_delete_exchange_is_deleted_with_its_last_binding(
    channel: BlockingChannel, unique_name: str, queue: str
) -> None:
    channel.exchange_declare(unique_name, "direct", auto_delete=True)
    channel.queue_bind(queue, unique_name, "one")
    channel.queue_bind(queue, unique_name, "two")
    channel.queue_unbind(queue, unique_name, "one")
    channel.exchange_declare(unique_name, passive=True)
    channel.queue_unbind(queue, unique_name, "two")
    with refused(404):
        channel.exchange_declare(unique_name, passive=True)


def test_an_internal_exchange_refuses_publishes(channel: BlockingChannel, unique_name: str) -> None:
    channel.exchange_declare(unique_name, "fanout", internal=True)
    channel.confirm_delivery()
    with refused(403) as refusal:
        channel.basic_publish(unique_name, "", b"x")
    assert refusal.text == f"ACCESS_REFUSED - cannot publish to internal exchange '{unique_name}' in vhost '/'"


def test_binding_requires_source_and_destination(channel: BlockingChannel, unique_name: str, queue: str) -> None:
    connection = channel.connection
    with refused(404) as refusal:
        connection.channel().queue_bind(queue, unique_name, "k")
    assert refusal.text == f"NOT_FOUND - no exchange '{unique_name}' in vhost '/'"
    with refused(404) as refusal:
        connection.channel().queue_bind(unique_name + "-q", "amq.direct", "k")
    assert refusal.text == f"NOT_FOUND - no queue '{unique_name}-q' in vhost '/'"
    with refused(404) as refusal:
        connection.channel().exchange_bind(unique_name, "amq.direct", "k")
    assert refusal.text == f"NOT_FOUND - no exchange '{unique_name}' in vhost '/'"


def test_unbinding_an_unknown_binding_is_no_error(channel: BlockingChannel, queue: str) -> None:
    channel.queue_unbind(queue, "amq.direct", "never bound")


def test_exchange_bindings_route_messages(channel: BlockingChannel, unique_name: str, queue: str) -> None:
    far, near = f"{unique_name}-far", f"{unique_name}-near"
    channel.exchange_declare(far, "topic")
    channel.exchange_declare(near, "fanout")
    channel.exchange_bind(near, far, "a.*")
    channel.queue_bind(queue, near)
    channel.basic_publish(far, "a.b", b"passes")
    channel.basic_publish(far, "b.b", b"does not")
    channel.exchange_unbind(near, far, "a.*")
    channel.basic_publish(far, "a.b", b"no longer")
    channel.basic_publish(near, "", b"direct")
    assert bodies(take(channel, queue, 2)) == ["passes", "direct"]


def test_a_cycle_of_exchanges_delivers_once(channel: BlockingChannel, unique_name: str, queue: str) -> None:
    one, two = f"{unique_name}-1", f"{unique_name}-2"
    channel.exchange_declare(one, "fanout")
    channel.exchange_declare(two, "fanout")
    channel.exchange_bind(one, two)
    channel.exchange_bind(two, one)
    channel.queue_bind(queue, one)
    channel.queue_bind(queue, two)
    channel.confirm_delivery()
    channel.basic_publish(one, "", b"once")
    wait_ready(channel, queue, 1)


def test_an_alternate_exchange_gets_unroutable_messages(channel: BlockingChannel, unique_name: str, queue: str) -> None:
    spare = f"{unique_name}-spare"
    channel.exchange_declare(spare, "fanout")
    channel.queue_bind(queue, spare)
    channel.exchange_declare(unique_name, "direct", arguments={"alternate-exchange": spare})
    channel.confirm_delivery()
    channel.basic_publish(unique_name, "nowhere", b"saved", mandatory=True)
    message = take(channel, queue, 1)[0]
    assert (message.exchange, message.routing_key, message.body) == (unique_name, "nowhere", b"saved")

"""Operations without permission are refused (RabbitMQ docs: access control)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.amqp import publish_confirmed, refused
from tests.support.node import BrokerNode

Connect = Callable[..., pika.BlockingConnection]
Open = Callable[[], BlockingChannel]


@pytest.fixture
def limited(broker: BrokerNode, connect: Connect) -> Open:
    """Return a function that opens channels of a user who may configure ^c, write ^w and read ^r."""
    broker.management.put("users", "limited", body={"password": "secret", "tags": ""}).raise_for_status()
    permissions = {"configure": "^c", "write": "^w", "read": "^r"}
    broker.management.put("permissions", "/", "limited", body=permissions).raise_for_status()
    credentials = pika.PlainCredentials("limited", "secret")
    return lambda: connect(credentials=credentials).channel()


@pytest.mark.parametrize(
    ("access", "action"),
    [
        ("configure", lambda channel, queue: channel.queue_declare("x-new")),
        ("configure", lambda channel, queue: channel.queue_delete(queue)),
        ("configure", lambda channel, queue: channel.exchange_declare("x-new", "direct")),
        ("configure", lambda channel, queue: channel.exchange_delete("x-new")),
        ("write", lambda channel, queue: channel.queue_bind(queue, "amq.direct", "k")),
        ("write", lambda channel, queue: publish_confirmed(channel, queue, "x")),
        ("read", lambda channel, queue: channel.basic_get(queue)),
        ("read", lambda channel, queue: channel.basic_consume(queue, lambda *_: None)),
        ("read", lambda channel, queue: channel.queue_purge(queue)),
    ],
    ids=["declare", "delete", "declare exchange", "delete exchange", "bind", "publish", "get", "consume", "purge"],
)
def test_operations_without_permission_are_refused(
    limited: Open, queue: str, access: str, action: Callable[[BlockingChannel, str], Any]
) -> None:
    with refused(403) as refusal:
        action(limited(), queue)
    assert refusal.text.startswith("ACCESS_REFUSED - ")
    assert "refused for user 'limited'" in refusal.text


def test_operations_with_permission_succeed(limited: Open, channel: BlockingChannel) -> None:
    theirs = limited()
    theirs.queue_declare("c-w-r")
    with refused(403):
        theirs.queue_bind("c-w-r", "amq.direct", "k")
    channel.queue_declare("w-queue")
    channel.queue_declare("r-queue")
    theirs = limited()
    theirs.basic_get("r-queue")
    theirs.exchange_declare("c-exchange", "direct")


def test_a_vhost_without_permissions_cannot_be_opened(broker: BrokerNode, connect: Connect, limited: Open) -> None:
    broker.management.put("vhosts", "other").raise_for_status()
    with pytest.raises(pika.exceptions.ProbableAccessDeniedError) as refusal:
        connect(credentials=pika.PlainCredentials("limited", "secret"), virtual_host="other")
    assert "530" in str(refusal.value)
    assert "access to vhost 'other' refused for user 'limited'" in str(refusal.value)


def test_queues_of_two_vhosts_are_separate(broker: BrokerNode, connect: Connect, queue: str) -> None:
    broker.management.put("vhosts", "other").raise_for_status()
    elsewhere = connect(virtual_host="other").channel()
    with refused(404) as refusal:
        elsewhere.queue_declare(queue, passive=True)
    assert refusal.text == f"NOT_FOUND - no queue '{queue}' in vhost 'other'"


TOPICS = ("topic-permissions", "/", "guest")


def test_topic_permissions_are_listed_and_deleted(broker: BrokerNode) -> None:
    body = {"exchange": "amq.topic", "write": "^a", "read": "^b"}
    item = {"user": "guest", "vhost": "/", **body}
    assert [broker.management.put(*TOPICS, body=body).status_code for _ in range(2)] == [201, 204]
    for path in (TOPICS, ("topic-permissions",), ("users", "guest", "topic-permissions"),
                 ("vhosts", "/", "topic-permissions")):  # fmt: skip
        assert broker.management.get(*path).json() == [item]
    assert broker.management.get("definitions").json()["topic_permissions"] == [item]
    assert broker.management.put(*TOPICS, body={**body, "write": "("}).status_code == 400
    assert broker.management.put("topic-permissions", "/", "nobody", body=body).status_code == 400
    assert [broker.management.delete(*TOPICS, "amq.topic").status_code for _ in range(2)] == [204, 404]
    assert broker.management.get(*TOPICS).status_code == 404


@pytest.mark.parametrize(
    ("action", "allowed"),
    [
        (lambda channel, queue: channel.basic_publish("amq.topic", "w.guest./", b""), True),
        (lambda channel, queue: channel.basic_publish("amq.topic", "x", b""), False),
        (lambda channel, queue: channel.basic_publish("amq.direct", "x", b""), True),
        (lambda channel, queue: channel.queue_bind(queue, "amq.topic", "r.#"), True),
        (lambda channel, queue: channel.queue_bind(queue, "amq.topic", "x.#"), False),
        (lambda channel, queue: channel.queue_unbind(queue, "amq.topic", "x.#"), False),
        (lambda channel, queue: channel.exchange_bind("amq.fanout", "amq.topic", "x.#"), False),
    ],
)
def test_a_topic_permission_limits_routing_keys_of_its_exchange(
    broker: BrokerNode, connect: Callable[..., Any], queue: str, action: Callable[..., Any], allowed: bool
) -> None:
    body = {"exchange": "amq.topic", "write": "^w.{username}.{vhost}", "read": "^r"}
    broker.management.put(*TOPICS, body=body)
    channel = connect().channel()
    try:
        if allowed:
            action(channel, queue)
            channel.queue_declare(queue, passive=True)
        else:
            with refused(403) as refusal:
                action(channel, queue)
                channel.queue_declare(queue, passive=True)
            assert "in exchange 'amq.topic' in vhost '/' refused for user 'guest'" in refusal.text
            assert "access to topic 'x" in refusal.text
    finally:
        broker.management.delete(*TOPICS)

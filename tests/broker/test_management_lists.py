"""The management API's lists: the same fields with the same meaning on both brokers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.amqp import Subscription, publish_confirmed, take, wait_ready
from tests.support.node import BrokerNode
from tests.support.processes import wait_until

Connect = Callable[..., pika.BlockingConnection]

# The fields that clients of the API read; RabbitMQ has more, about Erlang.
FIELDS = {
    "overview": {"rabbitmq_version", "management_version", "cluster_name", "node", "object_totals", "queue_totals",
                 "message_stats", "listeners", "contexts", "exchange_types", "rates_mode", "churn_rates"},
    "nodes": {"name", "type", "running", "uptime", "mem_used", "mem_alarm", "mem_limit", "disk_free", "disk_free_limit",
              "disk_free_alarm", "fd_used", "fd_total", "sockets_used", "sockets_total", "proc_used", "proc_total",
              "os_pid", "partitions", "processors", "rates_mode", "applications", "auth_mechanisms", "contexts",
              "mem_used_details", "fd_used_details", "mem_calculation_strategy"},
    "vhosts": {"name", "description", "tags", "metadata", "tracing", "cluster_state"},
    "users": {"name", "password_hash", "hashing_algorithm", "tags", "limits"},
    "permissions": {"user", "vhost", "configure", "write", "read"},
    "exchanges": {"name", "vhost", "type", "durable", "auto_delete", "internal", "arguments"},
    "bindings": {"source", "vhost", "destination", "destination_type", "routing_key", "arguments", "properties_key"},
}  # fmt: skip
QUEUE = {
    "name", "vhost", "type", "state", "durable", "auto_delete", "exclusive", "arguments", "node", "messages",
    "messages_ready", "messages_unacknowledged", "messages_details", "consumers", "consumer_utilisation", "memory",
    "message_bytes", "message_bytes_ready", "message_bytes_unacknowledged", "message_bytes_ram",
    "message_bytes_paged_out", "policy", "exclusive_consumer_tag",
    "effective_policy_definition", "message_stats", "single_active_consumer_tag", "consumer_details",
}  # fmt: skip
CONNECTION = {
    "name", "node", "user", "vhost", "state", "type", "protocol", "auth_mechanism", "channels", "channel_max",
    "frame_max", "timeout", "client_properties", "connected_at", "host", "port", "peer_host", "peer_port", "ssl",
    "recv_oct", "send_oct", "recv_cnt", "send_cnt", "send_pend", "recv_oct_details",
}  # fmt: skip
CHANNEL = {
    "name", "number", "node", "user", "vhost", "state", "confirm", "transactional", "prefetch_count",
    "global_prefetch_count", "consumer_count", "messages_unacknowledged", "messages_unconfirmed",
    "messages_uncommitted", "acks_uncommitted", "connection_details",
}  # fmt: skip
CONSUMER = {
    "consumer_tag", "ack_required", "active", "activity_status", "exclusive", "prefetch_count", "arguments", "queue",
    "channel_details",
}  # fmt: skip


def first(broker: BrokerNode, fields: set[str], *path: str) -> dict[str, Any]:
    """Wait until a list's first item has all these fields, and return it: RabbitMQ's statistics are a second late."""

    def complete() -> dict[str, Any]:
        items: list[dict[str, Any]] = broker.management.get(*path).json()
        return items[0] if items and set(items[0]) >= fields else {}

    return wait_until(complete, 20, f"the first of {path} having {fields}")


@pytest.mark.parametrize("kind", sorted(FIELDS))
def test_every_entity_has_its_fields(broker: BrokerNode, queue: str, kind: str) -> None:
    answer = broker.management.get(kind)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    items = answer.json() if isinstance(answer.json(), list) else [answer.json()]
    assert FIELDS[kind] <= set(items[0])


def test_the_overview_lists_the_api_listener(broker: BrokerNode) -> None:
    # RabbitMQ knows these a few seconds after its start.
    context = wait_until(lambda: broker.management.get("overview").json()["contexts"], 15, "contexts")[0]
    assert {"description", "path", "ip"} <= set(context)
    node = broker.management.get("overview").json()["node"]
    assert (context["node"], context["port"]) == (node, str(broker.management_port))


@pytest.mark.parametrize(
    "path",
    [
        ("vhosts", "/", "topic-permissions"),
        ("user-limits", "guest"),
        ("vhost-limits", "/"),
        ("parameters", "federation"),
        ("parameters", "federation", "/"),
        ("operator-policies", "/"),
    ],
)
def test_missing_kinds_of_entities_are_empty_lists(broker: BrokerNode, path: tuple[str, ...]) -> None:
    answer = broker.management.get(*path)
    assert (answer.status_code, answer.json()) == (200, [])


def test_a_queue_shows_its_messages_and_consumers(
    broker: BrokerNode, connect: Connect, channel: BlockingChannel, queue: str
) -> None:
    publish_confirmed(channel, queue, "12", "345", delivery_mode=2)
    theirs = connect().channel()
    theirs.basic_qos(prefetch_count=1)
    Subscription(theirs, queue, consumer_tag="mine", arguments={"x-priority": 2}).wait(1)

    def settled() -> dict[str, Any]:
        item: dict[str, Any] = broker.management.get("queues", "/", queue).json()
        complete = item.get("messages_unacknowledged") == 1 and item.get("consumers") and item["consumer_details"]
        return item if complete and item["message_stats"].get("deliver_get") else {}

    item = wait_until(settled, 20, "the queue's figures")
    assert set(item) >= QUEUE
    assert (item["messages"], item["messages_ready"], item["consumers"]) == (2, 1, 1)
    assert (item["message_bytes"], item["message_bytes_ready"]) == (5, 3)
    assert (item["name"], item["vhost"], item["type"], item["state"]) == (queue, "/", "classic", "running")
    assert item["message_stats"]["publish"] == 2
    assert item["message_stats"]["deliver_get"] == 1
    assert "rate" in item["message_stats"]["publish_details"]
    consumer = item["consumer_details"][0]
    assert set(consumer) >= CONSUMER
    assert (consumer["consumer_tag"], consumer["prefetch_count"], consumer["ack_required"]) == ("mine", 1, True)
    assert consumer["arguments"] == {"x-priority": 2}
    assert consumer["queue"] == {"name": queue, "vhost": "/"}


def test_connections_channels_and_consumers_are_listed(
    broker: BrokerNode, channel: BlockingChannel, queue: str
) -> None:
    channel.basic_qos(prefetch_count=7)
    channel.confirm_delivery()
    Subscription(channel, queue, consumer_tag="mine")
    connection = first(broker, CONNECTION, "connections")
    assert (connection["user"], connection["vhost"], connection["protocol"]) == ("guest", "/", "AMQP 0-9-1")
    assert connection["client_properties"]["product"] == "Pika Python Client Library"
    assert connection["name"].endswith(f"-> 127.0.0.1:{broker.port}")
    item = first(broker, CHANNEL, "connections", connection["name"], "channels")
    assert item["name"] == f"{connection['name']} (1)"
    settled = lambda: broker.management.get("channels", item["name"]).json().get("prefetch_count") == 7  # noqa: E731
    wait_until(settled, 20, "the channel's prefetch")
    assert broker.management.get("channels", item["name"]).json()["confirm"] is True
    assert first(broker, CONSUMER, "consumers", "/")["consumer_tag"] == "mine"


def test_a_list_can_be_paged_sorted_and_cut_to_columns(broker: BrokerNode, channel: BlockingChannel) -> None:
    for number in range(5):
        channel.queue_declare(f"paged-{number}")
    channel.queue_declare("other")
    query: dict[str, str | int] = {
        "page": 2, "page_size": 2, "name": "paged", "sort": "name", "sort_reverse": "true", "columns": "name",
    }  # fmt: skip
    assert broker.management.get("queues", **query).json() == {
        "filtered_count": 5,
        "item_count": 2,
        "items": [{"name": "paged-2"}, {"name": "paged-1"}],
        "page": 2,
        "page_count": 3,
        "page_size": 2,
        "total_count": 6,
    }
    by_pattern = broker.management.get("queues", "/", page=1, name="^paged-[34]$", use_regex="true").json()
    assert by_pattern["filtered_count"] == 2


@pytest.mark.parametrize(
    ("page", "size", "error"),
    [
        (9, 100, "page_out_of_range"),
        (0, 100, "invalid_pagination_parameters"),
        (1, 501, "invalid_pagination_parameters"),
        ("x", 100, "bad_request"),
    ],
)
def test_an_invalid_page_is_refused(broker: BrokerNode, page: int | str, size: int, error: str) -> None:
    answer = broker.management.get("queues", page=page, page_size=size)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_the_bindings_of_a_queue_start_with_the_implicit_one(
    broker: BrokerNode, channel: BlockingChannel, queue: str
) -> None:
    channel.queue_bind(queue, "amq.topic", "a b~c")
    channel.queue_bind(queue, "amq.headers", "", {"x-match": "all", "k": 1})
    items = broker.management.get("queues", "/", queue, "bindings").json()
    assert [(one["source"], one["routing_key"]) for one in items] == [
        ("", queue),
        ("amq.headers", ""),
        ("amq.topic", "a b~c"),
    ]
    assert [one["properties_key"] for one in items if one["source"] == "amq.topic"] == ["a+b%7Ec"]
    for one in items[1:]:
        path = ("bindings", "/", "e", one["source"], "q", queue, one["properties_key"])
        assert broker.management.get(*path).json() == one
        assert broker.management.delete(*path).status_code == 204
        assert broker.management.get(*path).status_code == 404


def test_messages_consumed_over_amqp_leave_the_totals(broker: BrokerNode, channel: BlockingChannel, queue: str) -> None:
    publish_confirmed(channel, queue, *"123")
    wait_ready(channel, queue, 3)
    take(channel, queue, 3)
    wait_until(
        lambda: broker.management.get("queues", "/", queue).json().get("messages") == 0, 20, "the queue being empty"
    )

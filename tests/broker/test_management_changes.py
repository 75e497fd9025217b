"""Declaring, deleting, publishing and getting over the management API: RabbitMQ's statuses and error bodies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pika
import pytest
import requests
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.amqp import Subscription, bodies, publish_confirmed, ready, take, wait_ready
from tests.support.management import Management
from tests.support.node import BrokerNode
from tests.support.processes import wait_until

Connect = Callable[..., pika.BlockingConnection]
NOT_FOUND = (404, {"error": "Object Not Found", "reason": "Not Found"})


def shown(answer: requests.Response) -> tuple[int, Any]:
    """Return status and body, without the line end that RabbitMQ adds to some reasons."""
    body = answer.json() if answer.content else None
    if isinstance(body, dict) and isinstance(body.get("reason"), str):
        body["reason"] = body["reason"].rstrip("\n")
    return answer.status_code, body


def test_a_new_queue_is_201_and_an_existing_one_204(broker: BrokerNode, unique_name: str) -> None:
    body = {"durable": True, "auto_delete": False, "arguments": {"x-message-ttl": 1000}}
    assert shown(broker.management.put("queues", "/", unique_name, body=body)) == (201, None)
    assert shown(broker.management.put("queues", "/", unique_name, body=body)) == (204, None)
    item = broker.management.get("queues", "/", unique_name).json()
    assert (item["durable"], item["arguments"]) == (True, {"x-message-ttl": 1000})


def test_a_queue_that_differs_is_400(broker: BrokerNode, unique_name: str) -> None:
    broker.management.put("queues", "/", unique_name, body={"durable": True})
    reason = (
        f"inequivalent arg 'durable' for queue '{unique_name}' in vhost '/': received 'false' but current is 'true'"
    )
    assert shown(broker.management.put("queues", "/", unique_name, body={"durable": False})) == (
        400, {"error": "bad_request", "reason": reason},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (("queues", "/", "amq.x"), {}, (401, {"error": "not_authorised", "reason": "Access refused."})),
        (("queues", "nowhere", "q"), {}, (404, {"error": "not_found", "reason": "vhost_not_found"})),
        (("queues", "/", "q"), [], (400, {"error": "bad_request", "reason": "not_json"})),
        (
            ("queues", "/", "q"),
            {"durable": "maybe"},
            (400, {"error": "bad_request", "reason": ["not_boolean", "maybe"]}),
        ),
        (
            ("queues", "/", "q" * 300),
            {},
            (400, {"error": "bad_request", "reason": "queue should be less than 255 bytes, actually was 300"}),
        ),
        (
            ("exchanges", "/", "amq.x"),
            {"type": "fanout"},
            (401, {"error": "not_authorised", "reason": "Access refused."}),
        ),
        (
            ("exchanges", "/", "x"),
            {"type": "odd"},
            (400, {"error": "bad_request", "reason": "unknown exchange type 'odd'"}),
        ),
        (("users", "u"), {"password": "p"}, (400, {"error": "bad_request", "reason": "tags_not_present"})),
        (
            ("users", "u"),
            {"password_hash": "zz", "tags": ""},
            (400, {"error": "bad_request", "reason": ["not_base64", "zz"]}),
        ),
        (
            ("permissions", "/", "guest"),
            {"configure": ".*", "write": ".*"},
            (400, {"error": "bad_request", "reason": "[{key_missing,read}]"}),
        ),
        (
            ("permissions", "/", "nobody"),
            {"configure": ".*", "write": ".*", "read": ".*"},
            (400, {"error": "bad_request", "reason": "vhost_or_user_not_found"}),
        ),
    ],
)  # fmt: skip
def test_invalid_definitions_are_refused(
    broker: BrokerNode, path: tuple[str, ...], body: Any, expected: tuple[int, Any]
) -> None:
    assert shown(broker.management.put(*path, body=body)) == expected


@pytest.mark.parametrize(
    "path",
    [
        ("queues", "nowhere"),
        ("queues", "/", "none"),
        ("exchanges", "/", "none"),
        ("connections", "none"),
        ("channels", "none"),
        ("users", "none"),
        ("vhosts", "none"),
        ("permissions", "/", "none"),
        ("nonsense",),
    ],
)
def test_a_missing_entity_is_404(broker: BrokerNode, path: tuple[str, ...]) -> None:
    assert shown(broker.management.get(*path)) == NOT_FOUND


@pytest.mark.parametrize(
    "path",
    [
        ("queues", "/", "none"),
        ("queues", "/", "none", "contents"),
        ("exchanges", "/", "none"),
        ("bindings", "/", "e", "amq.direct", "q", "none", "~"),
        ("connections", "none"),
        ("users", "none"),
        ("vhosts", "none"),
        ("permissions", "/", "none"),
    ],
)
def test_deleting_a_missing_entity_is_404(broker: BrokerNode, path: tuple[str, ...]) -> None:
    assert shown(broker.management.delete(*path)) == NOT_FOUND


def test_if_unused_and_if_empty_keep_a_queue(broker: BrokerNode, channel: BlockingChannel, queue: str) -> None:
    publish_confirmed(channel, queue, "x")
    Subscription(channel, queue).wait(1)
    publish_confirmed(channel, queue, "y", "z")
    channel.basic_qos(prefetch_count=1)
    assert shown(broker.management.delete("queues", "/", queue, query={"if-unused": "true"})) == (
        400, {"error": "bad_request", "reason": f"queue '{queue}' in vhost '/' in use"},
    )  # fmt: skip
    assert broker.management.delete("queues", "/", queue).status_code == 204


def test_if_empty_keeps_a_queue_with_messages(broker: BrokerNode, channel: BlockingChannel, queue: str) -> None:
    publish_confirmed(channel, queue, "x")
    assert shown(broker.management.delete("queues", "/", queue, query={"if-empty": "true"})) == (
        400, {"error": "bad_request", "reason": f"queue '{queue}' in vhost '/' not empty"},
    )  # fmt: skip
    assert broker.management.delete("queues", "/", queue, "contents").status_code == 204
    assert broker.management.delete("queues", "/", queue, query={"if-empty": "true"}).status_code == 204


def test_an_exclusive_queue_is_locked_for_the_api_too(broker: BrokerNode, channel: BlockingChannel) -> None:
    name = channel.queue_declare("", exclusive=True).method.queue
    answer = broker.management.delete("queues", "/", name)
    assert answer.status_code == 400
    assert f"cannot obtain exclusive access to locked queue '{name}'" in answer.json()["reason"]


def test_a_new_binding_has_a_location(broker: BrokerNode, queue: str) -> None:
    path = ("bindings", "/", "e", "amq.topic", "q", queue)
    made = broker.management.post(*path, body={"routing_key": "a b"})
    assert (made.status_code, made.headers["location"]) == (201, f"{queue}/a%2Bb")
    assert broker.management.post(*path, body={}).headers["location"] == f"{queue}/~"
    missing = broker.management.post(*path[:-1], "none", body={"routing_key": "k"})
    assert shown(missing) == (404, {"error": "not_found", "reason": "no queue 'none' in vhost '/'"})


def test_a_message_is_published_and_got(broker: BrokerNode, queue: str) -> None:
    properties = {"delivery_mode": 2, "headers": {"h": 1, "m": {"l": [1, "x"]}}, "message_id": "m", "timestamp": 17}
    body = {"properties": properties, "routing_key": queue, "payload": "hello", "payload_encoding": "string"}
    publish = ("exchanges", "/", "amq.default", "publish")
    assert shown(broker.management.post(*publish, body=body)) == (200, {"routed": True})
    binary = {"properties": {}, "routing_key": queue, "payload": "//4=", "payload_encoding": "base64"}
    assert shown(broker.management.post(*publish, body=binary)) == (200, {"routed": True})
    nowhere = body | {"routing_key": "no such queue"}
    assert shown(broker.management.post(*publish, body=nowhere)) == (200, {"routed": False})
    get = {"count": 5, "ackmode": "ack_requeue_true", "encoding": "auto"}
    text = {
        "payload_bytes": 5, "redelivered": False, "exchange": "", "routing_key": queue, "message_count": 1,
        "properties": properties, "payload": "hello", "payload_encoding": "string",
    }  # fmt: skip
    raw = {
        "payload_bytes": 2, "redelivered": False, "exchange": "", "routing_key": queue, "message_count": 0,
        "properties": [], "payload": "//4=", "payload_encoding": "base64",
    }  # fmt: skip
    assert shown(broker.management.post("queues", "/", queue, "get", body=get)) == (200, [text, raw])
    again = broker.management.post("queues", "/", queue, "get", body=get | {"truncate": 2}).json()
    assert [(one["redelivered"], one["payload"]) for one in again] == [(True, "he"), (True, "//4=")]
    taken = broker.management.post("queues", "/", queue, "get", body=get | {"ackmode": "ack_requeue_false"})
    assert len(taken.json()) == 2
    assert broker.management.post("queues", "/", queue, "get", body=get).json() == []


def test_changes_by_the_api_affect_amqp_clients_at_once(
    broker: BrokerNode, channel: BlockingChannel, queue: str, unique_name: str
) -> None:
    subscription = Subscription(channel, queue)
    body = {"properties": {}, "routing_key": queue, "payload": "over HTTP", "payload_encoding": "string"}
    broker.management.post("exchanges", "/", "amq.default", "publish", body=body)
    assert bodies(subscription.wait(1)) == ["over HTTP"]
    brief = f"{unique_name}-brief"
    rules = {"x-message-ttl": 100, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue}
    broker.management.put("queues", "/", brief, body={"arguments": rules})
    broker.management.post("exchanges", "/", "amq.default", "publish", body=body | {"routing_key": brief})
    assert bodies(subscription.wait(2)) == ["over HTTP", "over HTTP"]
    told: list[str] = []
    channel.add_on_cancel_callback(lambda frame: told.append(frame.method.consumer_tag))
    broker.management.delete("queues", "/", queue)
    subscription.until(lambda: told == [subscription.tag], message="the cancellation")


def test_a_message_rejected_over_the_api_is_dead_lettered(
    broker: BrokerNode, channel: BlockingChannel, unique_name: str
) -> None:
    dead = f"{unique_name}-dead"
    channel.queue_declare(dead)
    channel.queue_declare(unique_name, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    publish_confirmed(channel, unique_name, "x")
    get = {"count": 1, "ackmode": "reject_requeue_false", "encoding": "auto"}
    broker.management.post("queues", "/", unique_name, "get", body=get)
    assert bodies(take(channel, dead, 1)) == ["x"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"payload_encoding": "odd"}, ["unsupported_encoding", "odd"]),
        ({"payload": "!", "payload_encoding": "base64"}, ["not_base64", "!"]),
        ({"properties": {"delivery_mode": "z"}}, ["not_int", "delivery_mode"]),
        (
            {"properties": {"user_id": "bob"}},
            "406 PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'guest'",
        ),
    ],
)
def test_an_invalid_message_is_400(broker: BrokerNode, change: dict[str, Any], reason: Any) -> None:
    body = {"properties": {}, "routing_key": "q", "payload": "x", "payload_encoding": "string"} | change
    answer = broker.management.post("exchanges", "/", "amq.default", "publish", body=body)
    assert shown(answer) == (400, {"error": "bad_request", "reason": reason})


def test_publish_and_get_require_all_their_fields(broker: BrokerNode, queue: str) -> None:
    publish = broker.management.post(
        "exchanges", "/", "amq.default", "publish", body={"routing_key": "q", "payload": ""}
    )
    reason = "[{key_missing,properties},{key_missing,payload_encoding}]"
    assert shown(publish) == (400, {"error": "bad_request", "reason": reason})
    get = broker.management.post("queues", "/", queue, "get", body={})
    reason = "[{key_missing,ackmode},{key_missing,count},{key_missing,encoding}]"
    assert shown(get) == (400, {"error": "bad_request", "reason": reason})


def test_a_vhost_gives_its_creator_permissions_and_its_deletion_closes_connections(
    broker: BrokerNode, connect: Connect
) -> None:
    assert broker.management.put("vhosts", "new").status_code == 201
    assert broker.management.put("vhosts", "new").status_code == 204
    inside = connect(virtual_host="new")
    inside.channel().queue_declare("q")
    assert broker.management.delete("vhosts", "new").status_code == 204
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
        inside.process_data_events(10)
    assert closed.value.reply_code == 320
    assert "CONNECTION_FORCED - vhost 'new' is " in closed.value.reply_text


def test_user_tags_limit_the_routes(broker: BrokerNode, queue: str) -> None:
    broker.management.put("users", "manager", body={"password": "p", "tags": "management"})
    broker.management.put("users", "nobody", body={"password": "p", "tags": ""})
    manager = Management(broker.management_url, ("manager", "p"))
    nobody = Management(broker.management_url, ("nobody", "p"))
    stranger = Management(broker.management_url, ("manager", "wrong"))
    assert shown(stranger.get("overview")) == (401, {"error": "not_authorized", "reason": "Login failed"})
    assert shown(nobody.get("overview")) == (401, {"error": "not_authorised", "reason": "Not management user"})
    assert manager.get("whoami").json() == {"name": "manager", "tags": ["management"]}
    assert shown(manager.get("users")) == (401, {"error": "not_authorised", "reason": "Not administrator user"})
    assert shown(manager.get("nodes")) == (401, {"error": "not_authorised", "reason": "Not monitor user"})
    assert manager.get("queues").json() == []
    closed = (401, {"error": "not_authorised", "reason": "User not authorised to access virtual host"})
    assert shown(manager.get("queues", "/")) == closed
    broker.management.put("permissions", "/", "manager", body={"configure": "^my", "write": "^my", "read": "^my"})
    assert manager.put("queues", "/", "my-queue", body={}).status_code == 201
    refused = (401, {"error": "not_authorised", "reason": "Access refused."})
    assert shown(manager.put("queues", "/", "theirs", body={})) == refused
    assert shown(manager.delete("queues", "/", queue, "contents")) == refused


def test_definitions_are_exported_and_imported(broker: BrokerNode, channel: BlockingChannel, queue: str) -> None:
    channel.exchange_declare("made-x", "topic", durable=True)
    channel.queue_bind(queue, "made-x", "a.#")
    document = broker.management.get("definitions").json()
    assert {"users", "vhosts", "permissions", "queues", "exchanges", "bindings", "policies"} <= set(document)
    assert [one["name"] for one in document["exchanges"]] == ["made-x"]
    channel.exchange_delete("made-x")
    channel.queue_delete(queue)
    assert broker.management.post("definitions", body=document).status_code == 204
    channel.basic_publish("made-x", "a.b", b"x")
    wait_ready(channel, queue, 1)
    broken = {"queues": [{"name": "q", "vhost": "nowhere", "durable": True, "auto_delete": False, "arguments": {}}]}
    assert shown(broker.management.post("definitions", body=broken)) == (
        400, {"error": "bad_request", "reason": ["no_such_vhost", "nowhere"]},
    )  # fmt: skip


def test_health_checks(broker: BrokerNode) -> None:
    check = ("health", "checks")
    assert shown(broker.management.get(*check, "alarms")) == (200, {"status": "ok"})
    assert shown(broker.management.get(*check, "port-listener", str(broker.port))) == (
        200, {"status": "ok", "port": broker.port},
    )  # fmt: skip
    failed = broker.management.get(*check, "port-listener", "1")
    assert (failed.status_code, failed.json()["reason"]) == (503, "No active listener")
    assert broker.management.get(*check, "protocol-listener", "amqp").status_code == 200
    assert broker.management.get(*check, "protocol-listener", "mqtt").status_code == 503
    assert broker.management.get("aliveness-test", "/").json() == {"status": "ok"}


def test_a_memory_alarm_is_reported_and_blocks_publishers(broker: BrokerNode, connect: Connect, queue: str) -> None:
    publisher = connect()
    blocked: list[str] = []
    publisher.add_on_connection_blocked_callback(lambda _, frame: blocked.append(frame.method.reason))
    publisher.add_on_connection_unblocked_callback(lambda _, frame: blocked.clear())
    channel = publisher.channel()
    broker.set_memory_alarm(True)
    try:
        failed = broker.management.get("health", "checks", "alarms")
        assert (failed.status_code, failed.json()["alarms"][0]["resource"]) == (503, "memory")
        channel.basic_publish("", queue, b"held back")
        wait_until(lambda: publisher.process_data_events(0.1) or blocked, 20, "connection.blocked")
        assert ready(connect().channel(), queue) == 0
    finally:
        broker.set_memory_alarm(False)
    wait_until(lambda: publisher.process_data_events(0.1) or not blocked, 20, "connection.unblocked")
    wait_ready(connect().channel(), queue, 1)

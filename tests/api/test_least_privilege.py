"""The permissions that docs/deploy names for the RabbitMQ user are enough, and what is missing is named."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import MakeApp, database_of
from tests.api.service import Service
from tests.conftest import BROKERS
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.store import StoreNode
from tests.support.target import Target

README = Path(__file__).parents[2] / "docs" / "deploy" / "README.md"
DELIVER, MANAGE = re.findall(r"set_permissions -p production workerrmq '(.+)' '(.+)' '(.+)'", README.read_text())
"""The patterns to configure, write and read: for the queues `orders` and `invoices.*`, without and with their
creation."""

pytestmark = pytest.mark.parametrize("broker", BROKERS, indirect=True)
Rights = tuple[str, str, str]
MakeService = Callable[..., Service]


@pytest.fixture
def make_user(broker: BrokerNode, store: StoreNode, make_app: MakeApp, unique_name: str) -> Iterator[MakeService]:
    """Starts the service with inline consumers, as a user with these permissions in a new virtual host."""
    name = unique_name[-20:]

    def make(rights: Rights, tag: str = "management") -> Service:
        assert broker.management.put("vhosts", name).ok
        assert broker.management.put("users", name, body={"password": "secret", "tags": tag}).ok
        for user, granted in ((name, rights), ("guest", (".*", ".*", ".*"))):
            body = dict(zip(("configure", "write", "read"), granted, strict=True))
            assert broker.management.put("permissions", name, user, body=body).ok
        service = Service(
            make_app(
                mongo_uri=store.uri(database_of(unique_name)),
                rabbitmq_url=f"amqp://{name}:secret@127.0.0.1:{broker.port}/{name}",
                rabbitmq_management_url=broker.management_url,
                consumers="inline",
            )
        )
        wait_until(lambda: service.get("/health/ready").status_code == 200, 20, "the service being ready")
        return service

    return make


@pytest.fixture
def make_queue(broker: BrokerNode, unique_name: str) -> Callable[..., None]:
    """Makes a queue as somebody else, who may."""

    def make(name: str, **arguments: Any) -> None:
        body = {"durable": True, "arguments": {"x-queue-type": "quorum", **arguments}}
        assert broker.management.put("queues", unique_name[-20:], name, body=body).ok

    return make


def messages_in(service: Service, queue: str) -> list[Any]:
    answer = service.post("/getMessages", {"queueName": queue, "count": 10})
    return answer.json if answer.status_code == 200 else []


def deliver(service: Service, queue: str, target: Target) -> None:
    """A retry, a reply, a dead letter, a look at it, and its replay."""
    retry = {"schedule": [1], "jitter": 0}
    consumer = {"queueName": queue, "url": target.url("/status/500?times=1"), "retry": retry, "reply": True}
    assert service.post("/createConsumer", consumer).status_code == 201
    properties = {"replyTo": "invoices.replies", "correlationId": "1"}
    sent = {"queueName": queue, "message": "retried", "properties": properties}
    assert service.post("/messagePublish", sent).status_code == 200
    wait_until(lambda: messages_in(service, "invoices.replies"), 20, "the reply after a retry")

    change_url(service, queue, target.url("/status/400"))
    assert service.post("/messagePublish", {"queueName": queue, "message": "dead"}).status_code == 200
    [dead] = wait_until(lambda: messages_in(service, f"{queue}.dlq"), 20, "the dead letter")
    assert dead["message"] == "dead"

    change_url(service, queue, target.url("/ok"))
    replay = service.post("/replayDeadLetters", {"queueName": queue}).json
    wait_until(lambda: service.get("/getReplay", replayId=replay["replayId"]).json["replayed"] == 1, 20, "the replay")
    wait_until(lambda: target.requests[-1].url == "/ok", 20, "its delivery")


def change_url(service: Service, queue: str, url: str) -> None:
    """Change the URL of a consumer and wait until its worker has taken that up."""
    changed = service.patch("/updateConsumer", {"name": queue, "url": url})
    revision = changed.json["consumer"]["revision"]
    workers = lambda: service.get("/getConsumer", name=queue).json["workers"]  # noqa: E731
    wait_until(lambda: [one["revision"] for one in workers()] == [revision], 20, "the worker")


@pytest.mark.parametrize("tag", ["management", "monitoring"])
def test_the_documented_permissions_are_enough_to_deliver(
    make_user: MakeService, make_queue: Callable[..., None], target: Target, tag: str
) -> None:
    service = make_user(DELIVER, tag)
    make_queue("orders")
    make_queue("invoices.replies")
    deliver(service, "orders", target)
    for path in ("/getQueues", "/getExchanges", "/getConnections", "/getOverview"):
        assert service.get(path).status_code == 200
    ordered = {"queueName": "orders", "name": "ordered", "url": target.url("/ok"), "ordering": "queue"}
    assert service.delete("/deleteConsumer", {"name": "orders"}).status_code == 200
    assert service.post("/createConsumer", ordered).status_code == 201
    wait_until(
        lambda: service.get("/getConsumer", name="ordered").json["state"] == "running", 20, "an ordered consumer"
    )


def test_looking_at_a_queue_with_a_delivery_limit_takes_no_more(
    make_user: MakeService, make_queue: Callable[..., None], broker: BrokerNode
) -> None:
    service = make_user(DELIVER)
    limit = {"x-delivery-limit": 3}
    make_queue("orders", **limit)
    make_queue("orders.dlq", **limit)
    for queue in ("orders", "orders.dlq"):
        assert service.post("/messagePublish", {"queueName": queue, "message": "x"}).status_code == 200
        for _ in range(10):
            wait_until(lambda queue=queue: len(messages_in(service, queue)) == 1, 20, "the message")


def test_without_the_right_to_copy_no_look_takes_a_message_however_often(
    make_user: MakeService, make_queue: Callable[..., None], broker: BrokerNode, unique_name: str
) -> None:
    """Each would return the message once more, until RabbitMQ drops it."""
    service = make_user(without(DELIVER, "configure", OURS, r"workerrmq\.(due|orphans|delay\..*)"))
    make_queue("orders", **{"x-delivery-limit": 3})
    with broker.connect(virtual_host=unique_name[-20:]) as connection:
        channel = connection.channel()
        channel.queue_bind("orders", "amq.direct", "k")
        channel.confirm_delivery()
        channel.basic_publish("amq.direct", "k", b"x", mandatory=True)
        wait_until(lambda: service.get("/getQueue", queueName="orders").json["messages"] == 1, 20, "the message")
        for _ in range(10):
            answer = service.post("/getMessages", {"queueName": "orders", "count": 1})
            assert (answer.status_code, answer.json["code"]) == (503, "broker_access_refused")
            assert re.search(LACKS + r"configure.* on the exchange 'workerrmq\.look\.", answer.json["detail"])
        method, _, body = wait_until(lambda: _got(channel), 20, "the message that was looked at")
        assert (method.redelivered, body) == (False, b"x")


def _got(channel: Any) -> Any:
    found = channel.basic_get("orders")
    return found if found[0] else None


def test_the_documented_permissions_are_enough_to_manage(make_user: MakeService, target: Target) -> None:
    service = make_user(MANAGE)
    for name in ("orders", "invoices.replies"):
        assert service.post("/createQueue", {"queueName": name}).status_code == 201
    deliver(service, "orders", target)
    assert service.post("/purgeQueue", {"queueName": "orders"}).status_code == 200
    assert service.delete("/deleteConsumer", {"name": "orders"}).status_code == 200
    for name in ("orders", "orders.dlq"):
        assert service.delete("/deleteQueue", {"queueName": name}).status_code == 200


@pytest.mark.parametrize("path", ["/createQueue", "/deleteQueue", "/createExchange", "/bindQueue"])
def test_a_refusal_of_the_management_api_names_the_missing_permission(
    make_user: MakeService, make_queue: Callable[..., None], path: str
) -> None:
    service = make_user(DELIVER)
    make_queue("orders")
    make_queue("orders.plain")
    method, body, takes = {
        "/createQueue": ("POST", {"queueName": "other"}, "configure on the queue 'other'"),
        "/deleteQueue": ("DELETE", {"queueName": "orders.plain"}, "configure on the queue 'orders.plain'"),
        "/createExchange": ("POST", {"exchange": "x", "type": "direct"}, "configure on the exchange 'x'"),
        "/bindQueue": (
            "POST",
            {"exchange": "amq.direct", "queueName": "orders", "routingKey": "k"},
            "write on the queue 'orders' and read on the exchange 'amq.direct'",
        ),
    }[path]
    answer = service.call(method, path, body)
    assert (answer.status_code, answer.json["code"]) == (503, "broker_access_refused"), answer.json
    assert f"lacks a permission. The operation needs {takes}." in answer.json["detail"]
    assert "tag" not in answer.json["detail"]


def without(rights: Rights, right: str, part: str, instead: str = "nothing") -> Rights:
    """The rights with something else `instead` of a part of one pattern."""
    names = ("configure", "write", "read")
    patterns = dict(zip(names, rights, strict=True))
    assert part in patterns[right], patterns[right]
    patterns[right] = patterns[right].replace(part, instead)
    return patterns["configure"], patterns["write"], patterns["read"]


OURS = r"workerrmq\..*"
QUEUES = r"(orders|invoices\..*)"
LACKS = "lacks the permission "


@pytest.mark.parametrize(
    ("right", "part", "lacks"),
    [
        ("configure", OURS, r"configure.* on the exchange 'workerrmq\.due'"),
        ("write", OURS, r"(configure, )?write.* on the queue 'workerrmq\.due'"),
        ("read", OURS, r"(configure, write and )?read on the exchange 'workerrmq\.due'"),
        ("write", QUEUES, r"write on the queue 'invoices\.replies'"),
        ("read", QUEUES, r"read on the queue 'orders'"),
        ("configure", QUEUES, r"configure.* on the queue 'orders\.dlq'"),
        ("write", r"amq\.default", r"write on the exchange 'amq\.default'"),
    ],
)
def test_each_part_of_the_patterns_is_needed_and_named_where_it_is_missing(
    make_user: MakeService, make_queue: Callable[..., None], target: Target, right: str, part: str, lacks: str
) -> None:
    service = make_user(without(DELIVER, right, part))
    make_queue("orders")
    make_queue("invoices.replies", **{"x-delivery-limit": 3})
    wanted = {"queueName": "orders", "url": target.url("/status/400")}
    assert service.post("/createConsumer", wanted).status_code == 201
    for queue in ("orders", "invoices.replies"):
        service.post("/messagePublish", {"queueName": queue, "message": "x"})

    def said() -> str | None:
        consumer = service.get("/getConsumer", name="orders").json
        publish = service.post("/messagePublish", {"queueName": "orders", "message": "x"}).json
        look = service.post("/getMessages", {"queueName": "invoices.replies"}).json
        refused = [answer.get("detail") for answer in (publish, look) if isinstance(answer, dict)]
        texts = (consumer["reason"], consumer["copyError"], consumer["lastError"], *refused)
        return next((text for text in texts if text and re.search(LACKS + lacks, text)), None)

    wait_until(said, 30, f"the missing permission {lacks}")


def test_an_ordered_consumer_without_the_right_to_read_is_not_taken_for_a_standby(
    make_user: MakeService, make_queue: Callable[..., None], target: Target
) -> None:
    service = make_user(without(DELIVER, "read", QUEUES))
    make_queue("orders")
    wanted = {"queueName": "orders", "url": target.url("/ok"), "ordering": "queue"}
    assert service.post("/createConsumer", wanted).status_code == 201

    def workers() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = service.get("/getConsumer", name="orders").json["workers"]
        return [one for one in found if LACKS in (one["reason"] or "")]

    [one] = wait_until(workers, 20, "the reason")
    assert one["state"] == "waiting"


def test_policies_can_be_read_and_the_missing_tag_to_change_them_is_named(
    make_user: MakeService, broker: BrokerNode, unique_name: str
) -> None:
    service = make_user(MANAGE)
    policy = {"name": "short", "pattern": "^orders$", "definition": {"max-length": 5}}
    for method, path, body in (("POST", "/createPolicy", policy), ("DELETE", "/deletePolicy", {"name": "short"})):
        answer = service.call(method, path, body)
        assert (answer.status_code, answer.json["code"]) == (503, "broker_access_refused")
        assert "policymaker" in answer.json["detail"]
    assert service.get("/getPolicies").json == []
    name = unique_name[-20:]
    body = {"password": "secret", "tags": "management,policymaker"}
    assert broker.management.put("users", name, body=body).ok
    assert service.post("/createPolicy", policy).status_code == 201

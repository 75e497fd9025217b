"""Routes on real brokers: each message goes to the first route that matches, and no target holds up another one."""

from __future__ import annotations

import json
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from domain.filter_pattern import FilterPattern
from domain.registry import QueueFacts
from domain.route import RoutePattern, named
from domain.router import Route
from domain.signing_secret import SigningSecret
from tests.delivery.running import NEVER_OPEN, ONE_SECOND, Consumers
from tests.support.amqp import get, publish, ready, wait_ready
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.target import Target

pytestmark = pytest.mark.versions

SECRET = SigningSecret("whsec_" + "A" * 32)


def route(name: str, when: Any, url: str, **fields: Any) -> Route:
    fields.setdefault("breaker", NEVER_OPEN)
    return Route(name=name, when=FilterPattern(when), url=url, **fields)


def above(total: int) -> dict[str, Any]:
    return {"body": {"total": {"$gte": total}}}


@pytest.fixture
def queues(channel: BlockingChannel, queue: str) -> dict[str, str]:
    """The queues of the routes a, b and default, by route."""
    names = {name: f"{queue}.{name}" for name in ("a", "b", "default")}
    for name in names.values():
        channel.queue_declare(name, durable=True)
    return names


def publish_totals(channel: BlockingChannel, queue: str, *totals: int, **properties: Any) -> None:
    for total in totals:
        publish(channel, queue, json.dumps({"total": total}), message_id=f"{total}", **properties)


def paths(target: Target) -> dict[str, str]:
    """The path at which each message arrived."""
    return {request.id: request.path for request in target.requests}


def wait_routed(consumers: Consumers, queue: str, number: int) -> None:
    wait_until(lambda: (report := consumers.report(queue)) and report.routed == number, 20, f"{number} routed")


def test_the_first_route_that_matches_gets_a_message_and_the_consumers_own_target_the_rest(
    consumers: Consumers, channel: BlockingChannel, queue: str, queues: dict[str, str], target: Target
) -> None:
    publish_totals(channel, queue, 5, 50, 500)
    publish(channel, queue, "no JSON", message_id="x")
    routes = [
        route("a", above(100), target.url("/a"), signing_secret=SECRET, headers={"X-Mine": "a"}),
        route("b", above(10), target.url("/b"), method="PUT"),
    ]
    consumers.route(queue, target.url("/own"), routes, headers={"X-Mine": "own"})
    target.wait_for(4)
    assert paths(target) == {"500": "/a", "50": "/b", "5": "/own", "x": "/own"}
    by_id = {request.id: request for request in target.requests}
    assert "webhook-signature" in by_id["500"].headers
    assert [by_id[one].headers.get("x-mine") for one in ("500", "50", "5")] == ["a", None, "own"]
    assert [by_id[one].headers["x-queue-name"] for one in ("500", "5")] == [queues["a"], queues["default"]]
    assert [name for name, one in by_id.items() if "webhook-signature" in one.headers] == ["500"]
    wait_routed(consumers, queue, 4)
    report = consumers.report(queue)
    assert report is not None
    assert (report.delivered, report.filtered, report.dead_lettered, report.error) == (0, 0, 0, None)
    wait_until(lambda: (one := consumers.report(queues["default"])) and one.delivered == 2)


def test_a_routed_message_is_the_one_that_was_published(
    consumers: Consumers, channel: BlockingChannel, queue: str, queues: dict[str, str], target: Target, unique_name: str
) -> None:
    exchange = f"{unique_name}.events"
    channel.exchange_declare(exchange, "topic", auto_delete=True)
    channel.queue_bind(queue, exchange, "order.#")
    elsewhere = f"{unique_name}.copy"
    channel.queue_declare(elsewhere, durable=True)
    channel.queue_bind(elsewhere, exchange, elsewhere)
    properties = pika.BasicProperties(
        message_id="m-1", correlation_id="c-1", type="order", timestamp=1_700_000_000, priority=3, expiration="60000",
        headers={"x-tenant": "acme", "CC": [elsewhere], "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"},
    )  # fmt: skip
    channel.basic_publish(exchange, "order.created", b'{"total": 1}', properties)
    where = {"routingKey": "order.created", "headers": {"x-tenant": "acme"}, "properties.type": "order"}
    consumers.route(
        queue, target.url("/own"), [route("a", where, target.url("/{routingKey}"), payload="envelope")],
    )  # fmt: skip
    target.wait_for(1)
    [request] = target.requests
    assert request.path == "/order.created"
    assert request.headers["traceparent"] == f"00-{'a' * 32}-{'b' * 16}-01"
    told = json.loads(request.body)
    assert (told["exchange"], told["routingKey"], told["attempt"], told["messageId"]) == (
        exchange, "order.created", 1, "m-1",
    )  # fmt: skip
    assert told["headers"].items() >= {"x-tenant": "acme"}.items()
    assert not [name for name in told["headers"] if name.startswith("workerrmq-")]
    assert (told["properties"]["type"], told["properties"]["priority"]) == ("order", 3)
    assert told["properties"]["timestamp"] == 1_700_000_000
    assert ready(channel, elsewhere) == 1, "CC takes effect once"


@pytest.mark.broker_independent
def test_a_target_that_is_down_or_slow_holds_up_no_other(
    consumers: Consumers, channel: BlockingChannel, queue: str, queues: dict[str, str], target: Target
) -> None:
    quick = {"failures": 1, "openSeconds": 600}
    routes = [
        route("a", above(100), target.url("/status/503"), breaker=quick, retry=ONE_SECOND),
        route("b", above(10), target.url("/b"), ordering="queue"),
    ]
    limit = {"perSecond": 0.01, "burst": 1}
    consumers.route(queue, target.url("/status/500"), routes, breaker=quick, rate_limit=limit, retry=ONE_SECOND)
    publish_totals(channel, queue, 100, 1, 101, 2)
    consumers.wait(queues["a"], "breaker-open")
    consumers.wait(queues["default"], "breaker-open")
    publish_totals(channel, queue, *range(102, 302), *range(3, 10), *range(10, 30))
    wait_until(lambda: sum(path == "/b" for path in paths(target).values()) == 20, 20)
    assert [request.id for request in target.requests if request.path == "/b"] == [str(n) for n in range(10, 30)]
    wait_routed(consumers, queue, 231)
    assert consumers.wait(queue, "running").error is None


@pytest.mark.broker_independent
def test_a_route_keeps_the_order(
    consumers: Consumers, channel: BlockingChannel, queue: str, queues: dict[str, str], target: Target
) -> None:
    """The second attempt of each third message comes before the message after it."""
    for number in range(60):
        publish(channel, queue, "{}", message_id=f"{number:02}", headers={"x-key": "ab"[number % 2]})
    seen: set[str] = set()

    def answer(request: Any) -> int:
        first = request.id not in seen
        seen.add(request.id)
        return 500 if first and int(request.id) % 3 == 0 else 200

    target.answer = answer
    same = {"ordering": "queue", "retry": {"schedule": (1,), "jitter": 0}}
    consumers.route(queue, target.url(), [route("a", {"headers.x-key": "a"}, target.url(), **same)], **same)
    wait_until(lambda: len(target.delivered()) == 60, 60)
    for parity in (0, 1):
        order = [request.id for request in target.requests if int(request.id) % 2 == parity]
        assert list(dict.fromkeys(order)) == sorted(set(order))
        assert order == sorted(order)


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_a_missing_queue_of_a_route_is_declared_with_the_type_of_the_consumers_queue(
    consumers: Consumers, channel: BlockingChannel, broker: BrokerNode, unique_name: str, target: Target, kind: str
) -> None:
    channel.queue_declare(unique_name, durable=True, arguments={"x-queue-type": kind})
    publish_totals(channel, unique_name, 1, 100)
    facts = QueueFacts(type=kind)
    routes = [route("a", above(100), target.url("/a"))]
    consumers.route(unique_name, target.url("/own"), routes, facts=facts)
    wait_until(lambda: paths(target) == {"100": "/a", "1": "/own"}, 20)
    channel.queue_declare(f"{unique_name}.a", durable=True, passive=True)
    wait_until(lambda: (one := consumers.report(f"{unique_name}.a")) and one.in_flight == 0)
    channel.queue_delete(f"{unique_name}.a")
    publish_totals(channel, unique_name, 101)
    wait_until(lambda: paths(target).get("101") == "/a", 20)
    with broker.connect() as other:
        arguments = {"x-queue-type": kind}
        if kind == "quorum" and broker.name == "rabbitmq4":
            arguments["x-delivery-limit"] = -1  # type: ignore[assignment]
        other.channel().queue_declare(f"{unique_name}.a", durable=True, arguments=arguments)
    wait_until(lambda: ready(channel, f"{unique_name}.dlq") == 0)


def test_the_queue_of_a_removed_route_keeps_its_messages(
    consumers: Consumers, channel: BlockingChannel, queue: str, queues: dict[str, str], target: Target
) -> None:
    down = route("a", above(100), target.url("/status/503"), breaker={"failures": 1, "openSeconds": 600})
    consumers.route(queue, target.url("/own"), [down, route("b", above(10), target.url("/b"))])
    publish_totals(channel, queue, 100, 101, 102)
    consumers.wait(queues["a"], "breaker-open")
    wait_routed(consumers, queue, 3)
    consumers.route(queue, target.url("/own"), [route("b", above(10), target.url("/b2"))])
    wait_until(lambda: consumers.report(queues["a"]) is None)
    publish_totals(channel, queue, 103, 1)
    wait_until(lambda: {"103": "/b2", "1": "/own"}.items() <= paths(target).items(), 20)
    wait_ready(channel, queues["a"], 3)
    consumers.route(queue, target.url("/own"), [route("a", above(100), target.url("/a2"))])
    wait_until(lambda: dict.fromkeys(("100", "101", "102"), "/a2").items() <= paths(target).items(), 20)


def test_a_message_that_failed_before_keeps_its_attempts(
    consumers: Consumers, channel: BlockingChannel, queue: str, queues: dict[str, str], target: Target
) -> None:
    """A consumer gets routes while a message waits for its retry."""
    publish_totals(channel, queue, 100)
    consumers.deliver(queue, target.url("/status/500"), retry={"schedule": (2, 2), "jitter": 0})
    target.wait_for(1)
    consumers.route(queue, target.url(), [route("a", above(100), target.url("/status/500"), retry=ONE_SECOND)])
    consumers.wait(queues["a"], "running", "failing")
    wait_ready(channel, f"{queues['a']}.dlq", 1)
    assert [request.headers["x-delivery-attempt"] for request in target.requests] == ["1", "2"]
    dead = get(channel, f"{queues['a']}.dlq")
    assert dead is not None
    assert (dead.headers["workerrmq-queue"], dead.headers["workerrmq-routing-key"]) == (queues["a"], queue)


def test_a_message_without_room_for_a_route_is_dead_lettered(
    consumers: Consumers, channel: BlockingChannel, queue: str, queues: dict[str, str], target: Target
) -> None:
    publish(channel, queue, "{}", message_id="1", headers={"x-large": "x" * (131072 - 150)})
    consumers.route(queue, target.url(), [route("a", above(100), target.url("/a"))])
    consumers.wait(queue, "running", "failing")
    wait_ready(channel, f"{queue}.dlq", 1)
    assert not target.requests


def test_routes_have_names_that_differ() -> None:
    one = RoutePattern(when=FilterPattern(above(1)))
    assert [each.name for each in named((one, one))] == ["1", "2"]
    with pytest.raises(ValueError, match="different names"):
        named((one.model_copy(update={"name": "2"}), one))

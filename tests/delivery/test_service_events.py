"""The service tells when something begins and ends: once, to all who are bound, and nothing that is secret."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from domain.consumer import BreakerPolicy, ConsumerSpec, RetryPolicy
from domain.registry import Heartbeat, Report
from gateway.mongo import Store
from services.reconciler import Reconciler
from services.service_events import ServiceEvents
from tests.support.amqp import publish
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.target import Target
from tests.support.telling import PERIODS, SHORT, telling

pytestmark = pytest.mark.versions

SLACK = '{"text": {{ body.data.summary|tojson }}}'
Tell = Callable[..., ServiceEvents]


@pytest.fixture
def tell(registry: Store, broker: BrokerNode) -> Iterator[Tell]:
    """Starts what tells, with minimum durations of a second, and waits until it has declared the exchange."""
    started: list[ServiceEvents] = []

    def start(**options: Any) -> ServiceEvents:
        one = telling(registry, broker.amqp_url, broker.management_url, **options)
        one.start()
        started.append(one)
        wait_until(lambda: broker.management.get("exchanges", "/", "workerrmq.events").ok, 20, "the exchange")
        return one

    yield start
    for one in started:
        one.stop(10)


class Events:
    """The events that arrived in a queue of our own."""

    def __init__(self, channel: BlockingChannel, key: str = "#") -> None:
        self._channel = channel
        self._queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(self._queue, "workerrmq.events", key)
        self.all: list[dict[str, Any]] = []

    def types(self) -> list[str]:
        """The types of all events so far."""
        while (got := self._channel.basic_get(self._queue, auto_ack=True))[0] is not None:
            method, properties, body = got
            event = json.loads(body)
            assert (method.exchange, method.routing_key) == ("workerrmq.events", event["type"])
            assert (properties.message_id, properties.type) == (event["id"], event["type"])
            assert properties.content_type == "application/cloudevents+json"
            self.all.append(event)
        return [event["type"] for event in self.all]

    def wait(self, *types: str, timeout: float = 40) -> list[dict[str, Any]]:
        """Wait for exactly these."""
        wait_until(lambda: len(self.types()) >= len(types), timeout, f"the events {types}")
        assert self.types() == list(types)
        return self.all


def reports(registry: Store) -> list[Report]:
    """Return the reports of the live workers."""
    return [one for beat in registry.heartbeats.live() for one in beat.consumers]


def data(event: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = event["data"]
    return found


def dead_letter_at_once() -> RetryPolicy:
    return RetryPolicy(schedule=(), jitter=0)


def test_suspension_and_resumption_of_a_consumer_are_published_without_secrets(
    registry: Store, run_worker: Callable[[], Reconciler], tell: Tell, channel: BlockingChannel, queue: str,
    target: Target,
) -> None:  # fmt: skip
    run_worker()
    tell()
    events = Events(channel)
    publish(channel, queue, b"body-canary")
    url = target.url("/status/401?token=url-canary").replace("http://", "http://user:password-canary@")
    headers = {"X-Api-Key": "header-canary"}
    consumer = registry.consumers.create(ConsumerSpec(queue_name=queue, name="orders ä", url=url, headers=headers))[0]
    [event] = events.wait("consumer.suspended")
    assert event["specversion"] == "1.0"
    assert event["source"] == "/consumers/orders%20%C3%A4"
    assert "401" in data(event)["summary"]
    assert (data(event)["name"], data(event)["queueName"], data(event)["status"]) == ("orders ä", queue, "begun")
    assert datetime.fromisoformat(event["time"]) <= datetime.now(UTC)
    assert "canary" not in json.dumps(event)

    registry.consumers.set_state(consumer.id, "paused")
    begun, ended = events.wait("consumer.suspended", "consumer.suspended.ended")
    assert data(begun)["incident"] == data(ended)["incident"]
    assert (data(ended)["status"], data(ended)["since"]) == ("ended", begun["time"])
    wait_until(lambda: registry.conditions.all() == {}, 20, "nothing being left of it")


def test_opening_and_closing_of_a_breaker_are_each_published_once(
    registry: Store, run_worker: Callable[[], Reconciler], tell: Tell, channel: BlockingChannel, queue: str,
    target: Target,
) -> None:  # fmt: skip
    run_worker()
    tell(rules=SHORT | {"breaker.opened": SHORT["breaker.opened"]._replace(begins=3.0, ends=4.0)})
    events = Events(channel, "breaker.opened.#")
    spec = ConsumerSpec(
        queue_name=queue, url=target.url("/status/500?times=10"), retry=RetryPolicy(schedule=(1,) * 40, jitter=0),
        breaker=BreakerPolicy(failures=1, open_seconds=1),
    )  # fmt: skip
    consumer = registry.consumers.create(spec)[0]
    publish(channel, queue, b"body")
    target.wait_for(6, 60)  # each of these opens it again after it was half open
    [event] = events.wait("breaker.opened")
    assert data(event)["name"] == queue
    assert target.url("").rstrip("/") in data(event)["summary"]
    target.wait_for(11, 120)
    events.wait("breaker.opened", "breaker.opened.ended")
    registry.consumers.delete(consumer.id)


def test_dead_letters_are_told_of_when_they_grow_and_when_that_is_over(
    registry: Store, run_worker: Callable[[], Reconciler], tell: Tell, channel: BlockingChannel, queue: str,
    target: Target, broker: BrokerNode,
) -> None:  # fmt: skip
    channel.queue_declare("old.dlq", durable=True)
    publish(channel, "old.dlq", b"an old dead letter")
    wait_until(lambda: broker.management.get("queues", "/", "old.dlq").json().get("messages") == 1, 20)
    run_worker()
    tell(rules=SHORT | {"deadletters.grew": SHORT["deadletters.grew"]._replace(ends=8.0)})
    events = Events(channel, "deadletters.#")
    wait_until(registry.conditions.all, 20, "the old dead letter being known")
    registry.consumers.create(ConsumerSpec(queue_name=queue, url=target.url("/status/400")))
    for number in range(3):
        publish(channel, queue, b"body")
        wait_until(lambda count=number + 1: sum(one.dead_lettered for one in reports(registry)) == count, 20)
    begun, ended = events.wait("deadletters.grew", "deadletters.grew.ended", timeout=60)
    assert data(begun)["name"] == data(ended)["name"] == f"{queue}.dlq"
    publish(channel, queue, b"body")
    events.wait("deadletters.grew", "deadletters.grew.ended", "deadletters.grew", timeout=60)


def test_overdue_retries_are_told_of(
    registry: Store, run_worker: Callable[[], Reconciler], tell: Tell, channel: BlockingChannel, queue: str,
    target: Target,
) -> None:  # fmt: skip
    """Retries whose time is over while no worker puts them into their queues."""
    worker = run_worker()
    registry.consumers.create(
        ConsumerSpec(
            queue_name=queue, url=target.url("/status/500?times=1"), retry=RetryPolicy(schedule=(4,), jitter=0)
        )
    )
    tell()
    events = Events(channel, "retries.#")
    publish(channel, queue, b"body")
    target.wait_for(1)
    wait_until(lambda: any(one.retried for one in reports(registry)), 20, "the copy in the delay levels")
    worker.stop(0)
    events.wait("retries.overdue", timeout=60)
    run_worker()
    events.wait("retries.overdue", "retries.overdue.ended", timeout=60)
    target.wait_for(2)


def test_the_web_process_publishes_that_no_worker_is_alive_and_that_one_is_alive_again(
    registry: Store, run_worker: Callable[[], Reconciler], tell: Tell, channel: BlockingChannel, queue: str,
    target: Target,
) -> None:  # fmt: skip
    for _ in range(3):  # as several web processes do
        tell()
    events = Events(channel)
    registry.consumers.create(ConsumerSpec(queue_name=queue, url=target.url()))
    events.wait("worker.none")
    worker = run_worker()
    events.wait("worker.none", "worker.none.ended")
    worker.stop(0)
    events.wait("worker.none", "worker.none.ended", "worker.none")


def test_the_next_process_continues_what_a_stopped_one_has_observed(
    registry: Store, tell: Tell, channel: BlockingChannel, queue: str
) -> None:
    first, second = tell(), tell()
    events = Events(channel)
    registry.consumers.create(ConsumerSpec(queue_name=queue, url="http://127.0.0.1:9/"))
    events.wait("worker.none")
    first.stop(10)
    now = datetime.now(UTC)

    def ended() -> bool:
        registry.heartbeats.beat(Heartbeat("worker", datetime.now(UTC), now, True, ()))
        return len(events.types()) > 1

    wait_until(ended, 30, "the end of the condition")
    events.wait("worker.none", "worker.none.ended")
    second.stop(10)
    third = tell()
    registry.heartbeats.remove("worker")
    events.wait("worker.none", "worker.none.ended", "worker.none")
    third.stop(10)


def test_an_ordinary_consumer_delivers_the_events_and_its_own_failures_are_not_told(
    registry: Store, run_worker: Callable[[], Reconciler], tell: Tell, channel: BlockingChannel, queue: str,
    target: Target, unique_name: str, broker: BrokerNode,
) -> None:  # fmt: skip
    """Two receive the events: one by a template as Slack takes it, and one that only fails, by another exchange."""
    run_worker()
    tell()
    slack, broken = f"slack-{unique_name[-8:]}", f"broken-{unique_name[-8:]}"
    for name in (slack, broken):
        channel.queue_declare(name, durable=True)
    channel.queue_bind(slack, "workerrmq.events", "#")
    channel.exchange_declare(unique_name, "fanout", durable=True)
    channel.exchange_bind(unique_name, "workerrmq.events", "#")
    channel.queue_bind(broken, unique_name)
    payload = {"template": SLACK}
    registry.consumers.create(ConsumerSpec(queue_name=slack, url=target.url("/slack"), payload=payload))
    registry.consumers.create(
        ConsumerSpec(
            queue_name=broken, url=target.url("/status/500"), retry=dead_letter_at_once(),
            breaker=BreakerPolicy(failures=1, open_seconds=1),
        )
    )  # fmt: skip
    consumer = registry.consumers.create(ConsumerSpec(queue_name=queue, url=target.url("/status/404")))[0]
    publish(channel, queue, b"body")

    def texts(about: str = queue) -> list[str]:  # without those of a worker that is silent for long
        received = [json.loads(one.body)["text"] for one in target.requests if one.path == "/slack"]
        return [text for text in received if about in text]

    assert "suspended: The target answered HTTP 404" in wait_until(texts, 40)[0]
    registry.consumers.set_state(consumer.id, "paused")
    wait_until(lambda: len(texts()) == 2, 40)
    dead = f"{broken}.dlq"
    wait_until(lambda: broker.management.get("queues", "/", dead).json().get("messages", 0) >= 2, 40)
    wait_until(lambda: registry.conditions.all() == {}, 20)
    assert texts(broken) == []
    assert len(texts()) == 2


def test_a_queue_that_refuses_an_event_gets_it_later_and_the_others_seldom_again(
    registry: Store, tell: Tell, channel: BlockingChannel, queue: str, unique_name: str
) -> None:
    tell(periods=replace(PERIODS, first_pause=1.0, longest_pause=2.0))
    events = Events(channel)
    full = f"full-{unique_name[-8:]}"
    arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
    channel.queue_declare(full, durable=True, arguments=arguments)
    publish(channel, full, b"it is full")
    channel.queue_bind(full, "workerrmq.events", "#")
    began = time.monotonic()
    registry.consumers.create(ConsumerSpec(queue_name=queue, url="http://127.0.0.1:9/"))
    wait_until(lambda: len(events.types()) >= 3, 30, "the event three times")
    assert time.monotonic() - began > 0.5 + 1.0 + 2.0
    assert len({event["id"] for event in events.all}) == 1
    assert channel.basic_get(full, auto_ack=True)[2] == b"it is full"
    wait_until(lambda: not any(one.outbox for one in registry.conditions.all().values()), 30, "the event being told")
    assert json.loads(channel.basic_get(full, auto_ack=True)[2])["id"] == events.all[0]["id"]


def test_an_exchange_that_somebody_deletes_is_declared_again(
    registry: Store, tell: Tell, channel: BlockingChannel, queue: str, broker: BrokerNode
) -> None:
    tell()
    channel.exchange_delete("workerrmq.events")
    wait_until(lambda: broker.management.get("exchanges", "/", "workerrmq.events").ok, 20)
    found = broker.management.get("exchanges", "/", "workerrmq.events").json()
    assert (found["type"], found["durable"], found["auto_delete"]) == ("topic", True, False)
    events = Events(channel)
    registry.consumers.create(ConsumerSpec(queue_name=queue, url="http://127.0.0.1:9/"))
    events.wait("worker.none")


def test_events_of_a_time_without_a_broker_are_told_when_it_is_back(
    registry: Store, tell: Tell, queue: str, broker: BrokerNode
) -> None:
    tell()
    with broker.connect() as connection:
        channel = connection.channel()
        channel.queue_declare("told", durable=True)
        channel.queue_bind("told", "workerrmq.events", "#")
    registry.consumers.create(ConsumerSpec(queue_name=queue, url="http://127.0.0.1:9/"))
    broker.stop()
    wait_until(lambda: any(one.outbox for one in registry.conditions.all().values()), 20, "the event being stored")
    broker.start()
    with broker.connect() as connection:
        channel = connection.channel()
        method, properties, _ = wait_until(lambda: first(channel), 60, "the event")
    assert (method.routing_key, properties.type) == ("worker.none", "worker.none")


def first(channel: BlockingChannel) -> tuple[Any, pika.BasicProperties, bytes] | None:
    found = channel.basic_get("told", auto_ack=True)
    return found if found[0] is not None else None

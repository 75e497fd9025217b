"""The desired state of a consumer, and its actual state in the workers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.registry import Heartbeat, Report
from tests.api.consumers import create_consumer
from tests.api.service import Service
from tests.support.processes import wait_until
from tests.support.target import Target


@pytest.mark.broker_independent
def test_pausing_and_resuming_are_wished_once(service: Service) -> None:
    created = create_consumer(service)
    paused = service.post("/pauseConsumer", {"queueName": "orders"}).get_json()["consumer"]
    assert (paused["desiredState"], paused["state"]) == ("paused", "paused")
    again = service.post("/pauseConsumer", {"queueName": "orders"}).get_json()["consumer"]
    assert again["revision"] == paused["revision"] == created["revision"] + 1
    resumed = service.post("/resumeConsumer", {"queueName": "orders"}).get_json()["consumer"]
    assert (resumed["desiredState"], resumed["state"]) == ("enabled", "waiting")


@pytest.mark.broker_independent
def test_resuming_clears_a_suspension_and_its_reason(service: Service) -> None:
    created = create_consumer(service)
    assert service.store.consumers.suspend(created["consumerId"], created["revision"], "HTTP 404 ten times")
    seen = service.get("/getConsumer", queueName="orders").get_json()
    assert (seen["state"], seen["reason"]) == ("suspended", "HTTP 404 ten times")
    resumed = service.post("/resumeConsumer", {"queueName": "orders"}).get_json()["consumer"]
    assert resumed["desiredState"] == "enabled"
    assert "404" not in (resumed["reason"] or "")


def beat(service: Service, worker: str, *reports: Report, age: float = 0) -> None:
    """A worker's heartbeat, `age` seconds old."""
    now = datetime.now(UTC) - timedelta(seconds=age)
    service.store.heartbeats.beat(Heartbeat(worker, now, now, True, reports))


def test_consumers_are_sorted_by_counts_states_and_backlogs_page_by_page(service: Service) -> None:
    ids = {}
    for name, count in (("a", 1), ("b", 3), ("c", 2)):
        ids[name] = create_consumer(service, queueName=name, name=name)["consumerId"]
        service.post("/createQueue", {"queueName": name})
        for _ in range(count):
            service.post("/messagePublish", {"queueName": name, "message": "m"})
    create_consumer(service, queueName="missing", name="d")
    service.post("/pauseConsumer", {"name": "a"})
    reports = {"a": 7, "b": 5, "c": 6}
    beat(service, "one", *(Report(ids[name], 1, "failing" if name == "c" else "running", delivered=count)
                           for name, count in reports.items()))  # fmt: skip

    def names(**query: Any) -> list[str]:
        return [one["name"] for one in service.get("/getConsumers", **query).get_json()]

    wait_until(lambda: names(sort="backlog", descending="true") == ["b", "c", "a", "d"], 20)
    assert names(sort="backlog", descending="true", page=2, pageSize=3) == ["d"]
    assert names(sort="delivered") == ["d", "b", "c", "a"]
    assert names(sort="state") == ["c", "d", "a", "b"]
    assert names(descending="true") == ["d", "c", "b", "a"]
    assert names(sort="delivered", state="failing") == ["c"]
    backlogs = {one["name"]: one["backlog"] for one in service.get("/getConsumers").get_json()}
    assert backlogs == {"a": 1, "b": 3, "c": 2, "d": None}
    assert service.get("/getConsumers", sort="url").status_code == 400


@pytest.mark.broker_independent
def test_the_state_is_what_the_live_workers_say_and_counts_are_their_sum(service: Service) -> None:
    consumer_id = create_consumer(service)["consumerId"]

    def seen() -> dict[str, Any]:
        found: dict[str, Any] = service.get("/getConsumer", queueName="orders").get_json()
        return found

    assert (seen()["state"], seen()["workers"]) == ("waiting", [])
    assert "no worker is alive" in seen()["reason"]
    beat(service, "dead", Report(consumer_id, 1, "running", delivered=1000), age=60)
    assert seen()["delivered"] == 0, "a worker that is silent does not count"
    beat(service, "one", Report(consumer_id, 1, "running", in_flight=3, delivered=10, retried=1, last_status=200))
    beat(service, "idle", Report("another", 1, "failing", delivered=500))
    assert (seen()["state"], seen()["delivered"], seen()["lastStatus"], seen()["lastError"]) == (
        "running",
        10,
        200,
        None,
    )
    error = Report(
        consumer_id,
        1,
        "failing",
        reason="HTTP 503",
        in_flight=2,
        delivered=5,
        dead_lettered=4,
        requeued=6,
        last_status=503,
        error="HTTP 503",
        error_at=datetime.now(UTC),
    )
    beat(service, "two", error)
    both = seen()
    assert (both["state"], both["reason"], both["lastError"], both["lastStatus"]) == (
        "failing",
        "HTTP 503",
        "HTTP 503",
        503,
    )
    counts = ("inFlight", "delivered", "retried", "deadLettered", "requeued")
    assert [both[name] for name in counts] == [5, 15, 1, 4, 6]
    assert [(one["worker"], one["state"], one["inFlight"]) for one in both["workers"]] == [
        ("one", "running", 3),
        ("two", "failing", 2),
    ]


@pytest.mark.broker_independent
def test_consumers_are_found_by_part_of_their_name_and_by_their_state(service: Service) -> None:
    ids = {
        name: create_consumer(service, name=name)["consumerId"] for name in ("Fails", "fine", "idle", "halted", "bad")
    }
    service.post("/pauseConsumer", {"name": "halted"})
    assert service.store.consumers.suspend(ids["bad"], 1, "HTTP 404")
    beat(service, "one", Report(ids["fine"], 1, "running"), Report(ids["Fails"], 1, "running"))
    beat(service, "two", Report(ids["Fails"], 1, "breaker-open"))

    def names(**query: Any) -> list[str]:
        answer = service.get("/getConsumers", **query)
        assert answer.headers["X-Total-Count"] == str(len(answer.get_json()))
        return [one["name"] for one in answer.get_json()]

    assert names(name="FA") == ["Fails"]
    assert names(name=".") == []
    by_state = {state: names(state=state) for state in ("running", "failing", "waiting", "paused", "suspended")}
    assert by_state == {
        "running": ["fine"],
        "failing": ["Fails"],
        "waiting": ["idle"],
        "paused": ["halted"],
        "suspended": ["bad"],
    }


@pytest.mark.broker_independent
def test_success_and_latency_are_of_the_last_answers_of_all_workers(service: Service) -> None:
    consumer_id = create_consumer(service)["consumerId"]
    before = service.get("/getConsumer", queueName="orders").get_json()
    assert (before["successRate"], before["latencyP50Ms"], before["latencyP99Ms"]) == (None, None, None)
    beat(service, "one", Report(consumer_id, 1, "running", answers=100, succeeded=100, p50_ms=2.0, p99_ms=90.0))
    beat(service, "two", Report(consumer_id, 1, "failing", answers=100, succeeded=50, p50_ms=3.0, p99_ms=80.0))
    seen = service.get("/getConsumer", queueName="orders").get_json()
    assert (seen["successRate"], seen["latencyP50Ms"], seen["latencyP99Ms"]) == (0.75, 3.0, 90.0)
    assert [one["successRate"] for one in seen["workers"]] == [1.0, 0.5]


def test_from_log_in_to_the_target_by_http_alone(make_service: Callable[..., Service], target: Target) -> None:
    service = make_service(consumers="inline")
    assert service.post("/createQueue", {"queueName": "orders"}).status_code == 201
    assert service.post("/createConsumer", {"queueName": "orders", "url": target.url("/ok")}).status_code == 201
    one = service.post("/messagePublish", {"queueName": "orders", "message": "Hello, World!"})
    batch = service.post("/messagePublish", {"messages": [{"queueName": "orders", "message": {"n": 1}}] * 9})
    ids = {one.get_json()["messageId"], *(result["messageId"] for result in batch.get_json()["results"])}
    wait_until(lambda: set(target.delivered()) == ids, 15)
    assert [request.body for request in target.requests if request.id == one.get_json()["messageId"]] == [
        b"Hello, World!"
    ]

    def idle() -> bool:
        queue = service.get("/getQueue", queueName="orders").get_json()
        consumer = service.get("/getConsumer", queueName="orders").get_json()
        counts = (queue["messages"], queue["consumers"], consumer["delivered"], consumer["inFlight"])
        return (consumer["state"], *counts) == ("running", 0, 1, 10, 0)

    wait_until(idle, 15)
    assert service.delete("/deleteConsumer", {"queueName": "orders"}).status_code == 200
    wait_until(lambda: service.get("/getQueue", queueName="orders").get_json()["consumers"] == 0, 15)

"""GET /getOverview: what is wrong now, the worst first, and nothing that is not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.registry import Heartbeat, Report
from services import overview
from tests.api.consumers import create_consumer
from tests.api.service import Service
from tests.support.node import BrokerNode
from tests.support.processes import wait_until


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look is a new one."""
    monkeypatch.setattr(overview, "_KEPT", 0)


def beat(service: Service, *reports: Report) -> None:
    """One worker's heartbeat."""
    now = datetime.now(UTC)
    service.store.heartbeats.beat(Heartbeat("worker", now, now, True, reports))


def seen(service: Service) -> dict[str, Any]:
    answer = service.get("/getOverview")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.get_json()
    return found


def troubles(service: Service) -> list[tuple[str, str]]:
    return [(one["kind"], one["name"]) for one in seen(service)["troubles"]]


def test_where_all_is_well_there_is_no_trouble(service: Service) -> None:
    service.post("/createQueue", {"queueName": "orders"})
    consumer_id = create_consumer(service)["consumerId"]
    beat(service, Report(consumer_id, 1, "running"))
    found = seen(service)
    assert (found["troubles"], found["troubleCount"], found["workers"]) == ([], 0, 1)
    assert found["consumers"] == {"running": 1, "failing": 0, "waiting": 0, "paused": 0, "suspended": 0}
    assert found["totals"]["queues"] >= 1  # a delay level may be there, too
    assert found["totals"]["messages"] == 0


def test_the_worst_comes_first_and_says_why(service: Service) -> None:
    ids = {name: create_consumer(service, name=name)["consumerId"] for name in ("open", "fails", "lost", "bad", "fine")}
    service.store.consumers.suspend(ids["bad"], 1, "the target answers HTTP 404")
    beat(
        service,
        Report(
            ids["open"],
            1,
            "breaker-open",
            reason="Circuit breaker open for http://erp; last answer: HTTP 503; next attempt in 18 s.",
            error="HTTP 503",
        ),
        Report(ids["fails"], 1, "failing", error="HTTP 500"),
        Report(ids["lost"], 1, "waiting", reason="there is no queue 'orders'"),
        Report(ids["fine"], 1, "running"),
    )
    assert [(one["kind"], one["name"], one["reason"]) for one in seen(service)["troubles"]] == [
        ("consumer_suspended", "bad", "the target answers HTTP 404"),
        ("breaker_open", "open", "Circuit breaker open for http://erp; last answer: HTTP 503; next attempt in 18 s."),
        ("consumer_failing", "fails", "HTTP 500"),
        ("consumer_waiting", "lost", "there is no queue 'orders'"),
    ]


def test_consumers_without_any_worker_are_one_trouble(service: Service) -> None:
    for name in ("a", "b"):
        create_consumer(service, name=name)
    assert troubles(service) == [("no_worker", "workers")]


def test_one_that_was_created_just_now_is_no_trouble_yet(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    create_consumer(service)
    beat(service)
    assert troubles(service) == []
    monkeypatch.setattr("services.troubles._PATIENCE", timedelta(0))
    assert troubles(service) == [("consumer_waiting", "orders")]


def test_dead_letters_and_messages_that_nobody_takes_are_trouble(service: Service) -> None:
    beat(service)
    dead = {"queueName": "named", "deadLetterExchange": "", "deadLetterRoutingKey": "graveyard"}
    for queue in (dead, *({"queueName": name} for name in ("orders", "orders.dlq", "graveyard", "empty.dlq"))):
        assert service.post("/createQueue", queue).status_code == 201
    for queue_name in ("orders", "orders", "orders.dlq", "graveyard"):
        service.post("/messagePublish", {"queueName": queue_name, "message": "x"})
    expected = [("dead_letters", "graveyard"), ("dead_letters", "orders.dlq"), ("queue_unconsumed", "orders")]
    wait_until(lambda: troubles(service) == expected, 15)

    def counted() -> bool:
        found = seen(service)
        counts = [one["messages"] for one in found["troubles"]]
        return counts == [1, 1, 2] and found["totals"]["deadLetters"] == 2

    wait_until(counted, 15)
    assert "no consumer" in seen(service)["troubles"][2]["reason"]
    create_consumer(service)
    service.post("/pauseConsumer", {"queueName": "orders"})
    assert "'orders' is paused" in seen(service)["troubles"][2]["reason"]
    service.post("/resumeConsumer", {"queueName": "orders"})
    assert ("queue_unconsumed", "orders") not in troubles(service), "its consumer is the trouble, if there is one"


def test_while_the_broker_is_away_the_consumers_are_shown_all_the_same(service: Service, broker: BrokerNode) -> None:
    consumer_id = create_consumer(service)["consumerId"]
    broker.stop()
    beat(service, Report(consumer_id, 1, "waiting", reason="the broker is not connected"))
    found = seen(service)
    assert found["totals"] is None
    assert found["consumers"]["waiting"] == 1
    assert [one["kind"] for one in found["troubles"]] == ["broker_unavailable", "consumer_waiting"]


def test_a_blocked_connection_is_trouble(make_service: Callable[..., Service], broker: BrokerNode) -> None:
    service = make_service()
    service.post("/createQueue", {"queueName": "orders"})
    beat(service)
    broker.set_memory_alarm(True)
    try:
        service.post("/messagePublish", {"queueName": "orders", "message": "x"})
        wait_until(lambda: "connection_blocked" in [kind for kind, _ in troubles(service)], 15)
    finally:
        broker.set_memory_alarm(False)

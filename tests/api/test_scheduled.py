"""Scheduling over HTTP: `deliverAt` and `delaySeconds` of POST /messagePublish, and GET /getScheduled."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.api.client import Api
from tests.api.service import Service, assert_problem
from tests.support.processes import wait_until

pytestmark = pytest.mark.broker_independent

MakeService = Callable[..., Service]


@pytest.fixture
def service(make_service: MakeService) -> Service:
    """One with its consumers inside, and a queue `orders`."""
    service = make_service(consumers="inline")
    assert service.post("/createQueue", {"queueName": "orders"}).status_code == 201
    return service


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def ids_in(service: Service, queue: str) -> list[str]:
    """The message ids in a queue, without taking any."""
    found = service.post("/getMessages", {"queueName": queue, "count": 100}).json
    return sorted(one["properties"]["messageId"] for one in found)


def scheduled(service: Service) -> dict[int, int]:
    """Messages by level."""
    return {one["level"]: one["messages"] for one in service.get("/getScheduled").json}


def test_single_messages_batches_and_lines_come_when_they_are_due(service: Service) -> None:
    body = {"queueName": "orders", "message": "x", "properties": {"messageId": "one"}}
    answer = service.post("/messagePublish", {**body, "deliverAt": soon(2)})
    assert answer.status_code == 200
    assert answer.json["message"] == "Message has been scheduled successfully."
    at = datetime.fromisoformat(answer.json["deliverAt"])
    batch = [
        {"queueName": "orders", "message": 1, "properties": {"messageId": "two"}, "delaySeconds": 1.5},
        {
            "exchange": "amq.direct",
            "routingKey": "o",
            "message": 2,
            "properties": {"messageId": "3"},
            "delaySeconds": 2,
        },
        {"queueName": "orders", "message": 3, "properties": {"messageId": "now"}},
    ]
    service.post("/bindQueue", {"exchange": "amq.direct", "queueName": "orders", "routingKey": "o"})
    results = service.post("/messagePublish", {"messages": batch}).json["results"]
    assert [("deliverAt" in one, one["status"]) for one in results] == [(at, "published") for at in (True, True, False)]
    lines = b"\n".join(
        json.dumps({**one, "properties": {"messageId": f"l{n}"}}).encode() for n, one in enumerate(batch)
    )
    answer = service.post("/messagePublish", lines, headers={"Content-Type": "application/x-ndjson"})
    assert (answer.status_code, answer.json["published"]) == (200, 3)
    assert {"l2", "now"} <= set(ids_in(service, "orders"))
    wait_until(lambda: ids_in(service, "orders") == ["3", "l0", "l1", "l2", "now", "one", "two"], 20)
    assert datetime.now(UTC) >= at


@pytest.mark.parametrize("given", [{"deliverAt": "2020-01-31T12:00:00+01:00"}, {"delaySeconds": 0}])
def test_a_time_that_is_over_is_now(service: Service, given: dict[str, Any]) -> None:
    answer = service.post("/messagePublish", {"queueName": "orders", "message": "x", **given})
    assert (answer.status_code, "deliverAt" in answer.json) == (200, False)
    assert len(ids_in(service, "orders")) == 1
    assert_problem(service.post("/messagePublish", {"queueName": "no", "message": "x", **given}), 422, "unroutable")


def test_scheduled_messages_are_counted_by_level_and_not_as_retries(service: Service) -> None:
    for delay in (10 * 365 * 86_400, 3600, 3700):
        body = {"queueName": "orders", "message": "x", "delaySeconds": delay}
        assert service.post("/messagePublish", body).status_code == 200
    wait_until(lambda: scheduled(service) == {11: 2, 28: 1}, 30)
    answer = service.get("/getScheduled")
    assert answer.headers["X-Total-Count"] == "2"
    for one in answer.json:
        start, end = (datetime.fromisoformat(one[name]) for name in ("dueFrom", "dueUntil"))
        assert (end - start).total_seconds() == 2 ** (one["level"] + 1) - 1
        assert one["queueName"] == f"workerrmq.scheduled.{one['level']}"
    totals = wait_until(lambda: (found := service.get("/getOverview").json["totals"])["scheduled"] == 3 and found, 20)
    assert (totals["retries"], totals["scheduledOverdue"], totals["messages"]) == (0, 0, 0)
    assert not [one for one in service.get("/getQueues").json if "scheduled" in one["queueName"]]


@pytest.mark.parametrize(
    ("given", "field", "word"),
    [
        ({"deliverAt": "2099-01-31T12:00:00"}, "deliverAt", "offset"),
        ({"deliverAt": 1_900_000_000}, "deliverAt", "offset"),
        ({"deliverAt": "9999-12-31T23:59:59Z"}, "deliverAt", "ten years"),
        ({"delaySeconds": -1}, "delaySeconds", "0"),
        ({"delaySeconds": 3653 * 86_400 + 1}, "delaySeconds", "315619200"),
        ({"delaySeconds": "5"}, "delaySeconds", "number"),
        ({"delaySeconds": 5, "deliverAt": "2027-01-31T12:00:00Z"}, "", "either"),
    ],
)
def test_a_time_that_cannot_be_meant_is_refused(api: Api, given: dict[str, Any], field: str, word: str) -> None:
    answer = api("POST", "/messagePublish", json={"queueName": "orders", "message": "x", **given})
    assert_problem(answer, 400, "invalid_request", word)
    assert [one["field"] for one in answer.get_json()["errors"]] == [field]


def test_any_offset_will_do(service: Service) -> None:
    moment = datetime.now(timezone(timedelta(hours=14))) + timedelta(seconds=1)
    body = {"queueName": "orders", "message": "x", "deliverAt": moment.isoformat()}
    answer = service.post("/messagePublish", body)
    assert datetime.fromisoformat(answer.json["deliverAt"]) == moment
    wait_until(lambda: ids_in(service, "orders"), 20)


def test_scheduling_to_a_missing_queue_or_exchange_is_refused(service: Service) -> None:
    later: dict[str, Any] = {"message": "x", "delaySeconds": 60}
    assert_problem(service.post("/messagePublish", {"queueName": "no", **later}), 422, "unroutable", "'no'")
    missing = {"exchange": "no", "routingKey": "k", **later}
    assert_problem(service.post("/messagePublish", missing), 422, "exchange_not_found")
    mixed = [{"queueName": "no", **later}, {"queueName": "orders", "message": "x"}]
    answer = service.post("/messagePublish", {"messages": mixed})
    assert (answer.status_code, answer.json["published"]) == (207, 1)
    many = {"messages": [{"queueName": f"q-{number}", **later} for number in range(101)]}
    assert_problem(service.post("/messagePublish", many), 400, "invalid_request", "100 different queues")


def test_a_key_for_certain_queues_schedules_for_no_other_and_sees_no_counts(service: Service) -> None:
    key = service.post("/createApiKey", {"name": "shop", "role": "publisher", "queues": ["orders"]}).json["key"]
    scoped = Api(service.app)
    scoped.token = key
    later: dict[str, Any] = {"message": "x", "delaySeconds": 60}
    assert scoped("POST", "/messagePublish", json={"queueName": "orders", **later}).status_code == 200
    for where in ({"queueName": "other"}, {"exchange": "amq.topic", "routingKey": "orders"}):
        assert_problem(scoped("POST", "/messagePublish", json={**where, **later}), 403, "outside_key_scope")
    assert_problem(scoped("GET", "/getScheduled"), 403, "outside_key_scope")


def test_an_idempotency_key_schedules_once(service: Service) -> None:
    body = {"queueName": "orders", "message": "x", "delaySeconds": 2}
    headers = {"Idempotency-Key": "k-1"}
    first, second = (service.post("/messagePublish", body, headers=headers) for _ in range(2))
    assert first.data == second.data
    service.post("/messagePublish", {"queueName": "orders", "message": "x", "delaySeconds": 3})
    wait_until(lambda: len(ids_in(service, "orders")) == 2, 20)


def test_no_consumer_takes_what_waits_for_its_time(service: Service) -> None:
    body = {"queueName": "workerrmq.scheduled.3", "url": "https://erp.example/"}
    assert_problem(service.post("/createConsumer", body), 400, "queue_unfit")


def test_a_message_that_found_no_queue_is_replayed_to_where_it_was_to_go(service: Service) -> None:
    service.post("/createQueue", {"queueName": "gone"})
    body = {"message": "x", "delaySeconds": 10, "properties": {"priority": 2, "expiration": 60_000}}
    for where in ({"queueName": "gone"}, {"exchange": "amq.topic", "routingKey": "k"}):
        assert service.post("/messagePublish", {**body, **where}).status_code == 200
    service.delete("/deleteQueue", {"queueName": "gone"})
    wait_until(lambda: len(ids_in(service, "workerrmq.orphans")) == 2, 20)
    service.post("/createQueue", {"queueName": "gone"})
    replay = {"queueName": "gone", "deadLetterQueue": "workerrmq.orphans"}
    assert service.post("/replayDeadLetters", replay).status_code in (200, 202)
    wait_until(lambda: len(ids_in(service, "gone")) == 2, 20)
    for one in service.post("/getMessages", {"queueName": "gone", "count": 2}).json:
        assert one["properties"]["priority"] == 2
        assert not [name for name in one["properties"]["headers"] if name.startswith("workerrmq-")]

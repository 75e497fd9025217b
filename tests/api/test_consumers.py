"""Consumers over HTTP: what is wanted, what the workers make of it, and that no secret comes back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.registry import Heartbeat, Report
from tests.api.service import Service, assert_problem
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.target import Target

URL = "https://erp.example/process-order"
CONSUMER = {"queueName": "orders", "url": URL}
SECRETS = {
    "url": "https://robot:canary-1@erp.example/in",
    "headers": {"X-Session": "canary-2", "X-Api-Key": "canary-3", "Cookie": "s=canary-4", "X-Env": "prod"},
    "signingSecret": f"whsec_canary5{'A' * 25}",
}


def create(service: Service, **fields: Any) -> dict[str, Any]:
    """A new consumer, as shown."""
    answer = service.post("/createConsumer", CONSUMER | fields)
    assert answer.status_code == 201, answer.get_json()
    consumer: dict[str, Any] = answer.get_json()["consumer"]
    return consumer


def test_the_customers_example_is_taken_and_answered_as_it_stands(make_service: Callable[..., Service]) -> None:
    service = make_service(default_target_url=URL)
    service.post("/createQueue", {"queueName": "example_queue"})
    answer = service.post("/createConsumer", {"queueName": "example_queue"})
    assert answer.status_code == 201
    content = answer.get_json()
    assert content["message"] == "Consumer has been created successfully."
    assert content["warnings"] == []
    consumer = content["consumer"]
    assert (consumer["queueName"], consumer["name"], consumer["url"]) == ("example_queue", "example_queue", URL)


def test_without_any_url_the_answer_says_what_to_do(service: Service) -> None:
    problem = assert_problem(
        service.post("/createConsumer", {"queueName": "orders"}), 400, "url_missing", "DEFAULT_TARGET_URL"
    )
    assert problem["errors"][0]["field"] == "url"


def test_the_same_again_changes_nothing_and_another_of_the_name_is_a_conflict(service: Service) -> None:
    first = create(service, prefetch=10)
    again = service.post("/createConsumer", CONSUMER | {"prefetch": 10})
    assert again.status_code == 200
    assert again.get_json()["consumer"]["consumerId"] == first["consumerId"]
    other = service.post("/createConsumer", CONSUMER | {"prefetch": 11})
    assert_problem(other, 409, "conflict", "'orders'", "prefetch")
    assert create(service, prefetch=11, name="orders-2")["name"] == "orders-2"


def test_one_may_be_created_before_its_queue_and_is_told_so(service: Service) -> None:
    answer = service.post("/createConsumer", CONSUMER)
    assert answer.status_code == 201
    assert "no queue 'orders'" in answer.get_json()["warnings"][0]


def test_one_may_be_created_while_the_broker_is_away(service: Service, broker: BrokerNode) -> None:
    broker.stop()
    answer = service.post("/createConsumer", CONSUMER)
    assert answer.status_code == 201
    assert "starts when RabbitMQ can be reached" in answer.get_json()["warnings"][0]
    assert service.get("/getConsumer", queueName="orders").status_code == 200


def test_all_consumers_are_listed_by_name_with_the_shape_of_one(service: Service) -> None:
    for name in ("b", "a", "c"):
        create(service, name=name, queueName="odd" if name == "c" else "orders")
    listed = service.get("/getConsumers")
    assert [one["name"] for one in listed.get_json()] == ["a", "b", "c"]
    assert listed.headers["X-Total-Count"] == "3"
    assert listed.get_json()[0] == service.get("/getConsumer", name="a").get_json()
    assert [one["name"] for one in service.get("/getConsumers", queueName="odd").get_json()] == ["c"]
    assert [one["name"] for one in service.get("/getConsumers", page=2, pageSize=2).get_json()] == ["c"]


def test_one_is_found_by_id_by_name_and_by_queue(service: Service) -> None:
    created = create(service, name="erp")
    for which in ({"consumerId": created["consumerId"]}, {"name": "erp"}, {"queueName": "orders"}):
        assert service.get("/getConsumer", **which).get_json()["consumerId"] == created["consumerId"]
    for which in ({"consumerId": "erp"}, {"name": created["consumerId"]}, {"name": "x"}, {"queueName": "x"}):
        assert_problem(service.get("/getConsumer", **which), 404, "consumer_not_found")
    for wrong in ({}, {"name": "erp", "queueName": "orders"}):
        assert_problem(service.get("/getConsumer", **wrong), 400, "invalid_request", "exactly one of")


def test_several_consumers_of_a_queue_must_be_told_apart(service: Service) -> None:
    create(service, name="erp")
    create(service, name="crm")
    assert_problem(
        service.delete("/deleteConsumer", {"queueName": "orders"}), 409, "consumer_ambiguous", "'crm'", "'erp'"
    )
    assert service.delete("/deleteConsumer", {"name": "erp"}).status_code == 200
    assert service.delete("/deleteConsumer", {"queueName": "orders"}).status_code == 200
    assert service.get("/getConsumers").get_json() == []
    assert_problem(service.delete("/deleteConsumer", {"name": "erp"}), 404, "consumer_not_found")


def test_pausing_and_resuming_are_wished_once(service: Service) -> None:
    created = create(service)
    paused = service.post("/pauseConsumer", {"queueName": "orders"}).get_json()["consumer"]
    assert (paused["desiredState"], paused["state"]) == ("paused", "paused")
    again = service.post("/pauseConsumer", {"queueName": "orders"}).get_json()["consumer"]
    assert again["revision"] == paused["revision"] == created["revision"] + 1
    resumed = service.post("/resumeConsumer", {"queueName": "orders"}).get_json()["consumer"]
    assert (resumed["desiredState"], resumed["state"]) == ("enabled", "waiting")


def test_resuming_clears_a_suspension_and_its_reason(service: Service) -> None:
    created = create(service)
    assert service.store.consumers.suspend(created["consumerId"], created["revision"], "HTTP 404 ten times")
    seen = service.get("/getConsumer", queueName="orders").get_json()
    assert (seen["state"], seen["reason"]) == ("suspended", "HTTP 404 ten times")
    resumed = service.post("/resumeConsumer", {"queueName": "orders"}).get_json()["consumer"]
    assert resumed["desiredState"] == "enabled"
    assert "404" not in (resumed["reason"] or "")


def test_a_change_leaves_what_it_does_not_name_and_null_resets(service: Service) -> None:
    create(service, prefetch=10, timeout=5, headers={"X-Env": "prod", "X-Site": "7"}, retry={"schedule": [1, 2]})
    changes = {"prefetch": 20, "timeout": None, "headers": {"X-Site": None, "X-New": "1"}, "retry": {"jitter": 0.1}}
    answer = service.patch("/updateConsumer", {"queueName": "orders"} | changes)
    assert answer.status_code == 200, answer.get_json()
    changed = answer.get_json()["consumer"]
    assert (changed["prefetch"], changed["timeout"], changed["url"]) == (20, 30, URL)
    assert changed["headers"] == {"X-Env": "prod", "X-New": "1"}
    assert changed["retry"] == {"schedule": [1, 2], "jitter": 0.1}


def test_what_is_one_of_several_kinds_is_replaced_as_a_whole(service: Service) -> None:
    create(service, ordering={"header": "x-key"}, auth={"type": "basic", "username": "me", "password": "canary"})
    changes = {"ordering": {"jsonPath": "customer.id"}, "auth": {"type": "bearer", "token": "canary"}}
    answer = service.patch("/updateConsumer", {"queueName": "orders", "forwardHeaders": ["x-tenant"]} | changes)
    assert answer.status_code == 200, answer.get_json()
    changed = answer.get_json()["consumer"]
    assert (changed["ordering"], changed["forwardHeaders"]) == ({"jsonPath": "customer.id"}, ["x-tenant"])
    assert set(changed["auth"]) == {"type", "token"}
    assert "canary" not in answer.get_data(as_text=True)
    reset = service.patch("/updateConsumer", {"queueName": "orders", "auth": None, "ordering": None})
    assert (reset.get_json()["consumer"]["auth"], reset.get_json()["consumer"]["ordering"]) == (None, "none")


def test_a_change_that_changes_nothing_restarts_nothing(service: Service) -> None:
    created = create(service, prefetch=10)
    same = service.patch("/updateConsumer", {"queueName": "orders", "prefetch": 10}).get_json()["consumer"]
    assert same["revision"] == created["revision"]


def test_a_change_of_what_is_suspended_gives_it_another_try(service: Service) -> None:
    created = create(service)
    service.store.consumers.suspend(created["consumerId"], created["revision"], "HTTP 404 ten times")
    changed = service.patch("/updateConsumer", {"queueName": "orders", "url": f"{URL}s"}).get_json()["consumer"]
    assert (changed["desiredState"], changed["url"]) == ("enabled", f"{URL}s")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"prefetch": 0}, "prefetch"),
        ({"url": "ftp://erp.example"}, "url"),
        ({"url": None}, "url"),
        ({"retry": {"schedule": ["soon"]}}, "retry.schedule.0"),
        ({"headers": {"Host": "x"}}, "headers"),
    ],
)
def test_a_change_that_makes_no_sense_changes_nothing(service: Service, changes: dict[str, Any], field: str) -> None:
    created = create(service)
    problem = assert_problem(
        service.patch("/updateConsumer", {"queueName": "orders"} | changes), 400, "invalid_request"
    )
    assert problem["errors"][0]["field"] == field
    assert service.get("/getConsumer", queueName="orders").get_json()["revision"] == created["revision"]


@pytest.mark.parametrize(
    ("fields", "field", "word"),
    [
        ({"queueName": ""}, "queueName", "empty"),
        ({"queueName": None}, "queueName", "string"),
        ({"url": "http://"}, "url", "host"),
        ({"url": "https:///path"}, "url", "host"),
        ({"url": "erp.example"}, "url", "http"),
        ({"url": "file:///etc/passwd"}, "url", "http"),
        ({"url": "http://erp.example:99999/"}, "url", "URL"),
        ({"url": "http://erp.example/a b"}, "url", "spaces"),
        ({"url": "http://erp.example/#part"}, "url", "fragment"),
        ({"url": 5}, "url", "string"),
        ({"method": "GET"}, "method", "POST"),
        ({"timeout": 0}, "timeout", "greater than 0"),
        ({"timeout": "fast"}, "timeout", "number"),
        ({"prefetch": 2001}, "prefetch", "2000"),
        ({"retry": {"schedule": [0]}}, "retry.schedule.0", "greater than or equal to 1"),
        ({"retry": {"delays": [1]}}, "retry.delays", "not known"),
        ({"headers": {"Bad Header": "x"}}, "headers", "header name"),
        ({"headers": {"X-A": "a\r\nX-B: b"}}, "headers", "control"),
        ({"headers": {"Content-Length": "5"}}, "headers", "service itself"),
        ({"headers": {"webhook-id": "5"}}, "headers", "service itself"),
        ({"consumerId": "mine"}, "consumerId", "not known"),
    ],
)
def test_a_consumer_that_makes_no_sense_is_refused_with_the_field_and_a_sentence(
    service: Service, fields: dict[str, Any], field: str, word: str
) -> None:
    problem = assert_problem(service.post("/createConsumer", CONSUMER | fields), 400, "invalid_request")
    assert problem["errors"][0]["field"] == field
    assert word in problem["errors"][0]["detail"]
    assert service.get("/getConsumers").get_json() == []


def test_no_answer_shows_a_secret(service: Service) -> None:
    answers = [
        service.post("/createConsumer", CONSUMER | SECRETS),
        service.post("/createConsumer", CONSUMER | SECRETS),
        service.post("/createConsumer", CONSUMER | SECRETS | {"signingSecret": f"whsec_canary6{'A' * 25}"}),
        service.get("/getConsumers"),
        service.get("/getConsumer", queueName="orders"),
        service.patch("/updateConsumer", {"queueName": "orders", "prefetch": 5}),
        service.patch("/updateConsumer", {"queueName": "orders", "signingSecret": "whsec_canary7", "prefetch": 0}),
        service.post("/pauseConsumer", {"queueName": "orders"}),
        service.post("/resumeConsumer", {"queueName": "orders"}),
        service.delete("/deleteConsumer", {"queueName": "orders"}),
    ]
    assert [answer.status_code for answer in answers] == [201, 200, 409, 200, 200, 200, 400, 200, 200, 200]
    for answer in answers:
        assert "canary" not in answer.get_data(as_text=True)
    shown = answers[4].get_json()
    assert shown["headers"]["X-Env"] == "prod"
    assert set(shown["headers"]) == set(SECRETS["headers"])


def test_what_was_shown_masked_may_be_sent_back_and_stays_what_it_is(service: Service) -> None:
    service.post("/createConsumer", CONSUMER | SECRETS)
    shown = service.get("/getConsumer", queueName="orders").get_json()
    same = {name: shown[name] for name in ("url", "headers", "signingSecret")}
    service.patch("/updateConsumer", {"queueName": "orders", "prefetch": 5, **same})
    spec = service.store.consumers.get("orders").spec
    assert spec.signing_secret is not None
    assert (spec.url, spec.headers, spec.prefetch) == (SECRETS["url"], SECRETS["headers"], 5)
    assert spec.signing_secret.get_secret_value() == SECRETS["signingSecret"]
    login = {"type": "basic", "username": "me", "password": "canary-8"}
    create(service, name="basic", auth=login)
    shown = service.get("/getConsumer", name="basic").get_json()
    assert shown["auth"]["password"] != "canary-8"
    renamed = {**shown["auth"], "username": "you"}
    assert service.patch("/updateConsumer", {"name": "basic", "auth": renamed}).status_code == 200
    assert service.store.consumers.get("basic").spec.stored()["auth"] == {**login, "username": "you"}
    service.patch("/updateConsumer", {"name": "orders", "signingSecret": None})
    assert service.store.consumers.get("orders").spec.signing_secret is None


def beat(service: Service, worker: str, *reports: Report, age: float = 0) -> None:
    """A worker's heartbeat, `age` seconds old."""
    now = datetime.now(UTC) - timedelta(seconds=age)
    service.store.heartbeats.beat(Heartbeat(worker, now, now, True, reports))


def test_the_state_is_what_the_live_workers_say_and_counts_are_their_sum(service: Service) -> None:
    consumer_id = create(service)["consumerId"]

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


def test_reading_takes_a_viewer_and_changing_an_operator(service: Service) -> None:
    create(service)
    assert service.get("/getConsumers", role="viewer").status_code == 200
    which = {"queueName": "orders"}
    for method, path, body in (
        ("POST", "/createConsumer", CONSUMER | {"name": "x"}),
        ("POST", "/pauseConsumer", which),
        ("POST", "/resumeConsumer", which),
        ("PATCH", "/updateConsumer", which),
        ("DELETE", "/deleteConsumer", which),
    ):
        assert_problem(service.call(method, path, body, role="publisher"), 403, "forbidden")
    assert service.post("/pauseConsumer", which, role="operator").status_code == 200


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

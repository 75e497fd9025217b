"""Consumers over HTTP: making, finding and deleting them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.api.consumers import CONSUMER, URL, create_consumer
from tests.api.service import Service, assert_problem
from tests.support.node import BrokerNode


@pytest.mark.broker_independent
def test_the_customers_example_is_taken_and_answered_as_it_stands(make_service: Callable[..., Service]) -> None:
    service = make_service(default_target_url=URL)
    service.post("/createQueue", {"queueName": "example_queue"})
    answer = service.post("/createConsumer", {"queueName": "example_queue"})
    assert answer.status_code == 201
    content = answer.get_json()
    assert content["message"] == "Consumer has been created successfully."
    assert all("erp.example" in warning for warning in content["warnings"]), "its name leads nowhere, at most"
    consumer = content["consumer"]
    assert (consumer["queueName"], consumer["name"], consumer["url"]) == ("example_queue", "example_queue", URL)


@pytest.mark.broker_independent
def test_without_any_url_the_answer_says_what_to_do(service: Service) -> None:
    problem = assert_problem(
        service.post("/createConsumer", {"queueName": "orders"}), 400, "url_missing", "DEFAULT_TARGET_URL"
    )
    assert problem["errors"][0]["field"] == "url"


@pytest.mark.broker_independent
def test_the_same_again_changes_nothing_and_another_of_the_name_is_a_conflict(service: Service) -> None:
    first = create_consumer(service, prefetch=10)
    again = service.post("/createConsumer", CONSUMER | {"prefetch": 10})
    assert again.status_code == 200
    assert again.get_json()["consumer"]["consumerId"] == first["consumerId"]
    other = service.post("/createConsumer", CONSUMER | {"prefetch": 11})
    assert_problem(other, 409, "conflict", "'orders'", "prefetch")
    assert create_consumer(service, prefetch=11, name="orders-2")["name"] == "orders-2"


SECRETS: list[dict[str, Any]] = [
    {"headers": {"X-Api-Key": "right", "X-Env": "prod"}},
    {"auth": {"type": "bearer", "token": "right"}},
    {"auth": {"type": "basic", "username": "erp", "password": "right"}},
    {"url": "http://erp:right@erp.example/"},
    {"signingSecret": "whsec_" + "cmlnaHRz" * 4},
]


def guess(secret: Any) -> Any:
    if isinstance(secret, dict):
        return {name: guess(value) for name, value in secret.items()}
    return secret.replace("right", "wrong").replace("cmlnaHRz", "d3JvbmdB")


@pytest.mark.broker_independent
@pytest.mark.parametrize("secret", SECRETS, ids=["header", "token", "password", "url", "signing secret"])
def test_the_answer_does_not_tell_whether_a_guessed_secret_is_right(service: Service, secret: dict[str, Any]) -> None:
    create_consumer(service, **secret)
    right, wrong = (service.post("/createConsumer", CONSUMER | body) for body in (secret, guess(secret)))
    assert (right.status_code, right.json) == (wrong.status_code, wrong.json)
    assert right.status_code == 200
    assert any("not compared" in warning for warning in right.json["warnings"])
    right, wrong = (
        service.post("/createConsumer", CONSUMER | body | {"prefetch": 11}) for body in (secret, guess(secret))
    )
    assert right.json["detail"] == wrong.json["detail"]
    assert_problem(right, 409, "conflict", "differs in prefetch.")


@pytest.mark.broker_independent
def test_fields_that_are_not_secret_are_compared_although_secrets_are_not(service: Service) -> None:
    create_consumer(service, headers={"X-Api-Key": "right", "X-Env": "prod"}, auth=None)
    for change in ({"headers": {"X-Api-Key": "right", "X-Env": "test"}}, {"headers": {"X-Env": "prod"}}):
        assert_problem(service.post("/createConsumer", CONSUMER | change), 409, "conflict", "differs in headers.")
    body = {"headers": {"X-Api-Key": "right", "X-Env": "prod"}, "auth": {"type": "bearer", "token": "x"}}
    assert_problem(service.post("/createConsumer", CONSUMER | body), 409, "conflict", "differs in auth.")


def test_a_consumer_can_be_created_before_its_queue_with_a_warning(service: Service) -> None:
    answer = service.post("/createConsumer", CONSUMER)
    assert answer.status_code == 201
    assert "queue 'orders' does not exist" in answer.get_json()["warnings"][0]


def test_a_consumer_can_be_created_while_the_broker_is_down(service: Service, broker: BrokerNode) -> None:
    broker.stop()
    answer = service.post("/createConsumer", CONSUMER)
    assert answer.status_code == 201
    assert "starts when RabbitMQ is available" in answer.get_json()["warnings"][0]
    assert service.get("/getConsumer", queueName="orders").status_code == 200


@pytest.mark.broker_independent
def test_all_consumers_are_listed_by_name_with_the_shape_of_one(service: Service) -> None:
    for name in ("b", "a", "c"):
        create_consumer(service, name=name, queueName="odd" if name == "c" else "orders")
    listed = service.get("/getConsumers")
    assert [one["name"] for one in listed.get_json()] == ["a", "b", "c"]
    assert listed.headers["X-Total-Count"] == "3"
    assert listed.get_json()[0] == service.get("/getConsumer", name="a").get_json()
    assert [one["name"] for one in service.get("/getConsumers", queueName="odd").get_json()] == ["c"]
    assert [one["name"] for one in service.get("/getConsumers", page=2, pageSize=2).get_json()] == ["c"]


@pytest.mark.broker_independent
def test_one_is_found_by_id_by_name_and_by_queue(service: Service) -> None:
    created = create_consumer(service, name="erp")
    for which in ({"consumerId": created["consumerId"]}, {"name": "erp"}, {"queueName": "orders"}):
        assert service.get("/getConsumer", **which).get_json()["consumerId"] == created["consumerId"]
    for which in ({"consumerId": "erp"}, {"name": created["consumerId"]}, {"name": "x"}, {"queueName": "x"}):
        assert_problem(service.get("/getConsumer", **which), 404, "consumer_not_found")
    for wrong in ({}, {"name": "erp", "queueName": "orders"}):
        assert_problem(service.get("/getConsumer", **wrong), 400, "invalid_request", "exactly one of")


@pytest.mark.broker_independent
def test_several_consumers_of_a_queue_must_be_told_apart(service: Service) -> None:
    create_consumer(service, name="erp")
    create_consumer(service, name="crm")
    assert_problem(
        service.delete("/deleteConsumer", {"queueName": "orders"}), 409, "consumer_ambiguous", "'crm'", "'erp'"
    )
    assert service.delete("/deleteConsumer", {"name": "erp"}).status_code == 200
    assert service.delete("/deleteConsumer", {"queueName": "orders"}).status_code == 200
    assert service.get("/getConsumers").get_json() == []
    assert_problem(service.delete("/deleteConsumer", {"name": "erp"}), 404, "consumer_not_found")


@pytest.mark.broker_independent
@pytest.mark.parametrize(
    ("fields", "field", "word"),
    [
        ({"queueName": ""}, "queueName", "empty"),
        ({"queueName": None}, "queueName", "string"),
        ({"url": "http://"}, "url", "host"),
        ({"url": "https:///path"}, "url", "host"),
        ({"url": "erp.example"}, "url", "http"),
        ({"url": "file:///etc/passwd"}, "url", "http"),
        ({"url": "http://erp.example:99999/"}, "url", "port"),
        ({"url": "http://erp.example:0/"}, "url", "port"),
        ({"url": "http://127.0.0.1\\@erp.example/"}, "url", "backslash"),
        ({"url": "http://erp.example/a b"}, "url", "spaces"),
        ({"url": "http://erp.example/#part"}, "url", "fragment"),
        ({"url": 5}, "url", "string"),
        ({"method": "GET"}, "method", "POST"),
        ({"timeout": 0}, "timeout", "greater than 0"),
        ({"timeout": "fast"}, "timeout", "number"),
        ({"prefetch": 2001}, "prefetch", "2000"),
        ({"retry": {"schedule": [0]}}, "retry.schedule.0", "greater than or equal to 1"),
        ({"retry": {"delays": [1]}}, "retry.delays", "unknown field"),
        ({"headers": {"Bad Header": "x"}}, "headers", "header name"),
        ({"headers": {"X-A": "a\r\nX-B: b"}}, "headers", "control"),
        ({"headers": {"Content-Length": "5"}}, "headers", "service sets it"),
        ({"headers": {"webhook-id": "5"}}, "headers", "service sets it"),
        ({"consumerId": "mine"}, "consumerId", "unknown field"),
    ],
)
def test_a_consumer_that_makes_no_sense_is_refused_with_the_field_and_a_sentence(
    service: Service, fields: dict[str, Any], field: str, word: str
) -> None:
    problem = assert_problem(service.post("/createConsumer", CONSUMER | fields), 400, "invalid_request")
    assert problem["errors"][0]["field"] == field
    assert word in problem["errors"][0]["detail"]
    assert service.get("/getConsumers").get_json() == []


@pytest.mark.broker_independent
def test_reading_takes_a_viewer_and_changing_an_operator(service: Service) -> None:
    create_consumer(service)
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


@pytest.mark.parametrize(("queue", "ordering", "warned"), [
    ({"type": "quorum", "deliveryLimit": 5}, "queue", True),
    ({"type": "quorum", "deliveryLimit": 5}, "none", False),
    ({"type": "classic"}, "queue", False),
])  # fmt: skip
def test_an_ordered_consumer_of_a_queue_that_may_drop_what_it_gives_back_is_warned_of(
    service: Service, queue: dict[str, Any], ordering: str, warned: bool
) -> None:
    assert service.post("/createQueue", {"queueName": "orders", **queue}).status_code == 201
    answer = service.post("/createConsumer", CONSUMER | {"url": "http://127.0.0.1:9/", "ordering": ordering})
    assert any("x-delivery-limit" in warning for warning in answer.get_json()["warnings"]) is warned


@pytest.mark.parametrize(("kind", "word"), [("stream", "stream"), ("exclusive", "exclusive"), ("auto", "auto-delete")])
def test_a_consumer_of_a_queue_that_no_consumer_may_take_from_is_refused(
    service: Service, broker: BrokerNode, kind: str, word: str
) -> None:
    if kind == "stream" and broker.name == "embedded":
        pytest.skip("the embedded broker has no streams")
    with broker.connect() as connection:
        arguments = {"x-queue-type": "stream"} if kind == "stream" else {}
        connection.channel().queue_declare(
            "orders", durable=True, exclusive=kind == "exclusive", auto_delete=kind == "auto", arguments=arguments
        )
        answer = service.post("/createConsumer", CONSUMER | {"url": "http://127.0.0.1:9/"})
        problem = assert_problem(answer, 400, "queue_unfit", word)
        assert problem["errors"][0]["field"] == "queueName"
        assert service.get("/getConsumers").get_json() == [], "nothing was stored"

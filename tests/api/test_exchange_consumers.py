"""POST /createConsumer with an exchange: queue, binding and consumer in one call, which completes what it left."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.client import Api
from tests.api.service import Service, assert_problem
from tests.support.drain import take
from tests.support.node import BrokerNode
from tests.support.store import StoreNode

URL = "http://127.0.0.1:1/orders"


@pytest.fixture
def service(service: Service) -> Service:
    """One with a topic exchange `events`."""
    assert service.post("/createExchange", {"exchange": "events", "type": "topic"}).status_code == 201
    return service


def create(service: Service, **fields: Any) -> Any:
    return service.post("/createConsumer", {"exchange": "events", "routingKey": "order.*", "url": URL, **fields})


def test_each_target_gets_every_message_by_a_queue_of_its_own(service: Service, broker: BrokerNode) -> None:
    first, second = create(service), create(service, name="second")
    assert (first.status_code, second.status_code) == (201, 201)
    queues = [answer.json["consumer"]["queueName"] for answer in (first, second)]
    assert queues[0].startswith("events.127.0.0.1.")
    assert queues[1].startswith("events.second.")
    assert [answer.json["warnings"] for answer in (first, second)] == [[], []]
    body = {"exchange": "events", "routingKey": "order.created", "message": "x"}
    assert service.post("/messagePublish", body).status_code == 200
    for queue in queues:
        found = service.get("/getQueue", queueName=queue).json
        assert (found["durable"], found["type"]) == (True, "classic")
        assert len(take(broker, queue)) == 1


def test_the_same_call_again_changes_nothing_and_completes_what_is_missing(service: Service) -> None:
    first = create(service)
    queue, consumer = first.json["consumer"]["queueName"], first.json["consumer"]["consumerId"]
    binding = {"exchange": "events", "queueName": queue, "routingKey": "order.*"}
    for undo in (
        lambda: None,
        lambda: service.post("/unbindQueue", binding),
        lambda: service.delete("/deleteQueue", {"queueName": queue}),
    ):
        undo()
        again = create(service)
        assert (again.status_code, again.json["consumer"]["consumerId"]) == (200, consumer)
        assert [one["routingKey"] for one in service.get("/getBindings", queueName=queue).json] == ["order.*"]
    service.delete("/deleteConsumer", {"consumerId": consumer})
    assert create(service).status_code == 201


def test_the_same_call_completes_a_creation_that_failed_halfway(service: Service, store: StoreNode) -> None:
    queue = create(service).json["consumer"]["queueName"]
    for kept in ("/deleteConsumer", "/deleteQueue"):
        service.delete(kept, {"queueName": queue})
    # As after a crash between the steps: a queue without a binding, made otherwise; a binding without a consumer.
    service.post("/createQueue", {"queueName": queue, "type": "quorum"})
    assert create(service).status_code == 201
    assert len(service.get("/getBindings", queueName=queue).json) == 1
    service.delete("/deleteConsumer", {"queueName": queue})
    assert create(service).status_code == 201


def test_a_call_that_cannot_succeed_makes_nothing(service: Service) -> None:
    assert_problem(create(service, exchange="missing"), 404, "exchange_not_found")
    create(service, name="taken", routingKey="invoice.*")
    before = service.get("/getQueues").headers["X-Total-Count"]
    assert_problem(create(service, name="taken"), 409, "conflict", "queueName")
    assert_problem(create(service, url="ftp://erp.example/"), 400, "invalid_request")
    assert service.get("/getQueues").headers["X-Total-Count"] == before


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({}, "either queueName"),
        ({"queueName": "orders", "exchange": "events"}, "either queueName"),
        ({"queueName": "orders", "routingKey": "k"}, "routingKey needs exchange"),
        ({"exchange": "workerrmq.due"}, "workerrmq."),
        ({"exchange": "events", "routingKey": "workerrmq.due"}, "workerrmq."),
        ({"exchange": ""}, "empty"),
    ],
)
def test_a_consumer_has_either_a_queue_or_an_exchange(api: Api, fields: dict[str, Any], word: str) -> None:
    assert_problem(api("POST", "/createConsumer", json={"url": URL, **fields}), 400, "invalid_request", word)


def test_a_key_for_certain_queues_takes_no_messages_of_an_exchange(service: Service) -> None:
    key = service.post("/createApiKey", {"name": "shop", "role": "operator", "queues": ["events.*"]}).json["key"]
    scoped = Api(service.app)
    scoped.token = key
    body = {"exchange": "events", "routingKey": "#", "url": URL}
    assert_problem(scoped("POST", "/createConsumer", json=body), 403, "outside_key_scope")

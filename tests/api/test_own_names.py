"""The queues and exchanges `workerrmq.…` are the service's own: no client gets a message into them, by whatever way."""

from __future__ import annotations

import pytest

from tests.api.client import Api
from tests.api.service import assert_problem

LEVEL, DUE, EVENTS = "workerrmq.delay.3", "workerrmq.due", "workerrmq.events"
TO_LEVEL = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": LEVEL}
WAYS = [
    ("/messagePublish", {"queueName": LEVEL, "message": "x"}, "queueName"),
    ("/messagePublish", {"queueName": "workerrmq.orphans", "message": "x"}, "queueName"),
    ("/messagePublish", {"exchange": LEVEL, "routingKey": "orders", "message": "x"}, "exchange"),
    ("/messagePublish", {"exchange": DUE, "routingKey": "orders", "message": "x"}, "exchange"),
    ("/messagePublish", {"exchange": "workerrmq.look.1.x", "message": "x"}, "exchange"),
    ("/messagePublish", {"exchange": "amq.fanout", "routingKey": LEVEL, "message": "x"}, "routingKey"),
    ("/messagePublish", {"queueName": "a", "message": "x", "properties": {"replyTo": LEVEL}}, "properties.replyTo"),
    ("/messagePublish", {"messages": [{"queueName": LEVEL, "message": "x"}]}, "messages.0.queueName"),
    ("/messagePublish", {"queueName": "a", "message": "x", "properties": {"headers": {"Cc": [LEVEL]}}},
     "properties.headers"),
    ("/messagePublish", {"queueName": "a", "message": "x", "properties": {"headers": {"workerrmq-delay-3": True}}},
     "properties.headers"),
    ("/messagePublish", {"queueName": "a", "message": "x", "properties": {"headers": {"WorkerRMQ-queue": LEVEL}}},
     "properties.headers"),
    ("/messagePublish", {"exchange": EVENTS, "routingKey": "worker.none", "message": "forged"}, "exchange"),
    ("/createQueue", {"queueName": LEVEL}, "queueName"),
    ("/createQueue", {"queueName": "q", "deadLetterExchange": EVENTS}, ""),
    ("/createExchange", {"exchange": EVENTS}, "exchange"),
    ("/createExchange", {"exchange": "e", "alternateExchange": EVENTS}, ""),
    ("/bindQueue", {"exchange": "amq.fanout", "destinationExchange": EVENTS}, "destinationExchange"),
    ("/createQueue", {"queueName": "q", "deadLetterExchange": LEVEL}, ""),
    ("/createQueue", {"queueName": "q", "deadLetterExchange": "", "deadLetterRoutingKey": LEVEL},
     "deadLetterRoutingKey"),
    ("/createQueue", {"queueName": "q", "arguments": {"x-dead-letter-exchange": DUE}}, ""),
    ("/createQueue", {"queueName": "q", "arguments": TO_LEVEL}, ""),
    ("/createExchange", {"exchange": DUE}, "exchange"),
    ("/createExchange", {"exchange": "e", "alternateExchange": LEVEL}, ""),
    ("/createExchange", {"exchange": "e", "arguments": {"alternate-exchange": LEVEL}}, ""),
    ("/bindQueue", {"exchange": "amq.fanout", "queueName": LEVEL}, "queueName"),
    ("/bindQueue", {"exchange": "amq.fanout", "destinationExchange": DUE}, "destinationExchange"),
    ("/bindQueue", {"exchange": DUE, "queueName": "orders", "routingKey": "orders"}, "exchange"),
    ("/unbindQueue", {"exchange": LEVEL, "queueName": LEVEL}, "exchange"),
    ("/replayDeadLetters", {"queueName": LEVEL, "deadLetterQueue": "orders.dlq"}, "queueName"),
    ("/createConsumer", {"queueName": LEVEL, "url": "http://127.0.0.1:1/"}, "queueName"),
    ("/createConsumer", {"queueName": "workerrmq.retry.5s", "url": "http://127.0.0.1:1/"}, "queueName"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "field"), WAYS)
def test_no_way_leads_into_the_services_own_queues(api: Api, path: str, body: dict[str, object], field: str) -> None:
    code = "queue_unfit" if path == "/createConsumer" else "invalid_request"
    problem = assert_problem(api("POST", path, json=body), 400, code)
    assert field in [error["field"] for error in problem["errors"]], problem


def test_the_services_own_exchanges_are_not_deleted(api: Api) -> None:
    for name in (DUE, LEVEL, EVENTS):
        assert_problem(api("DELETE", "/deleteExchange", json={"exchange": name}), 400, "invalid_request", "workerrmq.")


def test_a_line_of_ndjson_is_no_way_either(api: Api) -> None:
    lines = b'{"queueName": "orders", "message": 1}\n{"queueName": "workerrmq.orphans", "message": 2}\n'
    answer = api("POST", "/messagePublish", data=lines, content_type="application/x-ndjson")
    assert_problem(answer, 400, "invalid_request", "Line 2", "queueName")

"""Looking at the messages in a queue, and taking them off it, over HTTP."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from tests.api.service import Service, assert_problem
from tests.support.node import BrokerNode
from tests.support.processes import wait_until


@pytest.fixture
def queue(service: Service) -> str:
    """A queue with three messages, 0 to 2."""
    service.post("/createQueue", {"queueName": "orders"})
    messages = [{"queueName": "orders", "message": str(number)} for number in range(3)]
    assert service.post("/messagePublish", {"messages": messages}).status_code == 200
    return "orders"


@pytest.fixture
def bodies(service: Service) -> Callable[..., list[str]]:
    """Gets messages of a queue; their bodies."""

    def get(queue: str, **wanted: Any) -> list[str]:
        answer = service.post("/getMessages", {"queueName": queue, **wanted})
        assert answer.status_code == 200, answer.get_json()
        return [one["message"] for one in answer.get_json()]

    return get


def test_a_peek_leaves_all_in_its_place(bodies: Callable[..., list[str]], queue: str) -> None:
    assert bodies(queue, count=2) == ["0", "1"]
    assert bodies(queue) == ["0", "1", "2"]


def test_taken_messages_are_removed(bodies: Callable[..., list[str]], queue: str) -> None:
    assert bodies(queue, count=2, ackMode="take") == ["0", "1"]
    assert bodies(queue, ackMode="take") == ["2"]
    assert bodies(queue) == []


def test_rejected_messages_are_dead_lettered(service: Service, bodies: Callable[..., list[str]]) -> None:
    service.post("/createQueue", {"queueName": "dead"})
    service.post("/createQueue", {"queueName": "live", "deadLetterExchange": "", "deadLetterRoutingKey": "dead"})
    service.post("/messagePublish", {"queueName": "live", "message": "unwanted"})
    assert bodies("live", ackMode="reject") == ["unwanted"]
    assert wait_until(lambda: bodies("dead")) == ["unwanted"]


def test_a_message_is_shown_in_the_form_in_which_it_can_be_published_again(service: Service) -> None:
    service.post("/createQueue", {"queueName": "a"})
    properties = {
        "contentType": "application/json",
        "headers": {"x-tenant": "blue", "deep": {"n": [1, 2]}},
        "correlationId": "c",
        "messageId": "m",
        "priority": 3,
        "expiration": 60_000,
        "timestamp": 1_700_000_000,
        "type": "order",
        "appId": "crm",
        "replyTo": "answers",
        "persistent": False,
    }
    service.post("/messagePublish", {"queueName": "a", "message": "Grüße", "properties": properties})
    [shown] = service.post("/getMessages", {"queueName": "a"}).get_json()
    assert shown == {
        "exchange": "",
        "routingKey": "a",
        "redelivered": False,
        "message": "Grüße",
        "bodyBase64": None,
        "bytes": 7,
        "truncated": False,
        "properties": properties,
    }
    again = {"queueName": "a", "message": shown["message"], "properties": shown["properties"]}
    assert service.post("/messagePublish", again).status_code == 200


def test_bytes_come_as_base64_and_long_bodies_are_cut_in_a_peek_only(service: Service) -> None:
    service.post("/createQueue", {"queueName": "a"})
    raw = base64.b64encode(b"\xff\x00" * 500).decode()
    service.post("/messagePublish", {"queueName": "a", "bodyBase64": raw})
    [cut] = service.post("/getMessages", {"queueName": "a", "truncateBytes": 100}).get_json()
    assert (cut["bytes"], cut["truncated"], cut["message"]) == (1000, True, None)
    assert base64.b64decode(cut["bodyBase64"]) == b"\xff\x00" * 50
    [whole] = service.post("/getMessages", {"queueName": "a", "truncateBytes": 100, "ackMode": "take"}).get_json()
    assert (whole["bodyBase64"], whole["truncated"]) == (raw, False)


def test_reading_from_a_queue_that_cannot_be_read_names_the_reason(
    service: Service, broker: BrokerNode, queue: str
) -> None:
    assert_problem(service.post("/getMessages", {"queueName": "nope"}), 404, "queue_not_found", "'nope'")
    with broker.connect() as connection:
        connection.channel().queue_declare("mine", exclusive=True)
        assert_problem(service.post("/getMessages", {"queueName": "mine"}), 423, "locked")
    for wrong in ({"count": 0}, {"count": 501}, {"ackMode": "keep"}, {"truncateBytes": -1}):
        answer = service.post("/getMessages", {"queueName": queue} | wrong)
        assert assert_problem(answer, 400, "invalid_request")["errors"][0]["field"] in wrong
    assert_problem(service.post("/getMessages", {"queueName": queue}, role="viewer"), 403, "forbidden")

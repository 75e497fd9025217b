"""Looking at the messages in a queue, and taking them off it, over HTTP."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from pika import BasicProperties

from tests.api.service import Service, assert_problem
from tests.support.drain import take
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


@pytest.mark.versions
@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_a_rejected_message_of_a_queue_without_a_dead_letter_exchange_goes_to_its_dead_letter_queue(
    service: Service, bodies: Callable[..., list[str]], kind: str
) -> None:
    service.post("/createQueue", {"queueName": "orders", "type": kind})
    sent = {"queueName": "orders", "properties": {"messageId": "m", "expiration": 60_000, "headers": {"x-a": 1}}}
    service.post("/messagePublish", {**sent, "message": "unwanted"})
    service.post("/messagePublish", {"queueName": "orders", "message": "wanted"})
    assert bodies("orders", ackMode="reject", count=1) == ["unwanted"]
    assert bodies("orders") == ["wanted"]
    [letter] = service.post("/getMessages", {"queueName": "orders.dlq"}).get_json()
    headers = letter["properties"]["headers"]
    assert (letter["message"], letter["properties"]["messageId"], headers["x-a"]) == ("unwanted", "m", 1)
    assert headers["workerrmq-outcome"] == "rejected"
    assert (headers["workerrmq-reason"], headers["workerrmq-attempts"]) == ("rejected by admin", 0)
    assert service.get("/getQueue", queueName="orders.dlq").get_json()["type"] == kind
    assert bodies("orders", ackMode="reject") == ["wanted"], "the dead-letter queue exists now"
    replay = service.post("/replayDeadLetters", {"queueName": "orders"}).get_json()
    wait_until(lambda: service.get("/getReplay", replayId=replay["replayId"]).get_json()["state"] == "finished")
    wait_until(lambda: bodies("orders") == ["unwanted", "wanted"])


@pytest.mark.versions
@pytest.mark.parametrize("exchange", ["", "nowhere"])
def test_a_rejected_message_whose_dead_letter_exchange_or_queue_is_missing_goes_to_the_dead_letter_queue(
    service: Service, bodies: Callable[..., list[str]], exchange: str
) -> None:
    letters = {"deadLetterExchange": exchange, "deadLetterRoutingKey": "gone"}
    service.post("/createQueue", {"queueName": "orders", **letters})
    service.post("/messagePublish", {"queueName": "orders", "message": "unwanted"})
    assert bodies("orders", ackMode="reject") == ["unwanted"]
    assert bodies("orders.dlq") == ["unwanted"]


@pytest.mark.versions
def test_the_broker_dead_letters_a_rejected_message_to_the_exchange_of_a_policy(
    service: Service, bodies: Callable[..., list[str]]
) -> None:
    for name in ("dead", "orders"):
        service.post("/createQueue", {"queueName": name, "type": "quorum"})
    service.post("/createExchange", {"exchange": "letters", "type": "fanout"})
    service.post("/bindQueue", {"exchange": "letters", "queueName": "dead"})
    definition = {"dead-letter-exchange": "letters"}
    service.post("/createPolicy", {"name": "letters", "pattern": "^orders$", "definition": definition})
    wait_until(lambda: service.get("/getQueue", queueName="orders").get_json()["policy"] == "letters")
    service.post("/messagePublish", {"queueName": "orders", "message": "unwanted"})
    assert bodies("orders", ackMode="reject") == ["unwanted"]
    wait_until(lambda: bodies("dead") == ["unwanted"])
    [letter] = service.post("/getMessages", {"queueName": "dead"}).get_json()
    assert letter["properties"]["headers"]["x-death"][0]["reason"] == "rejected"
    assert_problem(service.get("/getQueue", queueName="orders.dlq"), 404, "queue_not_found")


@pytest.mark.versions
def test_a_rejected_message_stays_in_its_queue_while_the_dead_letter_queue_is_full(
    service: Service, bodies: Callable[..., list[str]]
) -> None:
    service.post("/createQueue", {"queueName": "orders.dlq", "maxLength": 1, "overflow": "reject-publish"})
    service.post("/createQueue", {"queueName": "orders"})
    for queue in ("orders", "orders.dlq"):
        service.post("/messagePublish", {"queueName": queue, "message": queue})
    assert_problem(
        service.post("/getMessages", {"queueName": "orders", "ackMode": "reject"}), 503, "publish_refused", "orders.dlq"
    )
    assert (bodies("orders"), bodies("orders.dlq")) == (["orders"], ["orders.dlq"])


def test_a_message_without_room_for_the_history_in_its_headers_is_dead_lettered_without_it(
    service: Service, broker: BrokerNode
) -> None:
    service.post("/createQueue", {"queueName": "orders"})
    with broker.connect() as connection:
        properties = BasicProperties(headers={"x-large": "x" * 130_900})
        connection.channel().basic_publish("", "orders", b"unwanted", properties)
    [shown] = wait_until(lambda: service.post("/getMessages", {"queueName": "orders", "ackMode": "reject"}).get_json())
    [(_, letter, body)] = take(broker, "orders.dlq")
    assert (shown["message"], body) == ("unwanted", b"unwanted")
    assert list(letter.headers) == ["x-large"]


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

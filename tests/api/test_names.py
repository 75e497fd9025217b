"""Names that somebody defines here: no terminal acts upon them, whoever prints them later."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.client import Api
from tests.api.service import assert_problem

URL = "http://127.0.0.1:1/"
CHARACTERS = ["\x1b", "\x07", "\t", "\x7f", "\x85", "\x9b", "\u2028", "\u202e", "\u2066"]
DEFINITIONS: list[tuple[str, dict[str, Any]]] = [
    ("/createQueue", {"queueName": "a%s"}),
    ("/createQueue", {"queueName": "a", "deadLetterExchange": "", "deadLetterRoutingKey": "a%s"}),
    ("/createExchange", {"exchange": "a%s"}),
    ("/bindQueue", {"exchange": "amq.direct", "queueName": "a", "routingKey": "a%s"}),
    ("/messagePublish", {"exchange": "amq.direct", "routingKey": "a%s", "message": "x"}),
    ("/messagePublish", {"queueName": "a", "message": "x", "properties": {"messageId": "a%s"}}),
    ("/createConsumer", {"queueName": "a", "name": "a%s", "url": URL}),
    ("/createConsumer", {"queueName": "a%s", "url": URL}),
    ("/createUser", {"username": "a%s", "password": "correct horse battery", "role": "viewer"}),
    ("/createApiKey", {"name": "a%s", "role": "viewer"}),
    ("/createApiKey", {"name": "a", "role": "viewer", "queues": ["a%s"]}),
]


def with_character(value: Any, character: str) -> Any:
    if isinstance(value, dict):
        return {name: with_character(item, character) for name, item in value.items()}
    if isinstance(value, list):
        return [with_character(item, character) for item in value]
    return value.replace("%s", character) if isinstance(value, str) else value


@pytest.mark.parametrize(("path", "body"), DEFINITIONS)
def test_a_name_with_a_control_character_is_not_defined(api: Api, path: str, body: dict[str, Any]) -> None:
    for character in CHARACTERS:
        assert_problem(api("POST", path, json=with_character(body, character)), 400, "invalid_request")
    if path in ("/createUser", "/createApiKey"):
        assert api("POST", path, json=with_character(body, "")).status_code == 201


def test_a_queue_that_others_named_so_can_be_consumed_under_another_name(api: Api) -> None:
    consumer = {"queueName": "a\x1b", "url": URL}
    assert_problem(
        api("POST", "/createConsumer", json=consumer), 400, "invalid_request", "name (by default the queue's name)"
    )
    assert api("POST", "/createConsumer", json={**consumer, "name": "a"}).status_code == 201
    assert api("GET", "/getConsumer", query_string={"queueName": "a\x1b"}).status_code == 200


@pytest.mark.parametrize("name", ["Übergröße", "订单", "заказы", "\u0645\u06cc\u200c\u0634", "🧾 invoices", "a b"])
def test_a_name_in_any_language_is_taken(api: Api, name: str) -> None:
    answer = api("POST", "/createConsumer", json={"queueName": "a", "name": name, "url": URL})
    assert (answer.status_code, answer.json["consumer"]["name"]) == (201, name)

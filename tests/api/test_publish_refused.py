"""Publishing over HTTP: bodies and properties that make no sense are refused with the field and a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.service import Service, assert_problem

pytestmark = pytest.mark.broker_independent

WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({}, "", "queueName, or exchange"),
    ({"queueName": "q"}, "", "message or bodyBase64"),
    ({"message": "x"}, "", "queueName, or exchange"),
    ({"queueName": "", "message": "x"}, "queueName", "empty"),
    ({"queueName": "q", "exchange": "e", "message": "x"}, "", "queueName, or exchange"),
    ({"queueName": "q", "routingKey": "k", "message": "x"}, "", "routingKey needs exchange"),
    ({"queueName": "q", "message": "x", "bodyBase64": "eA=="}, "", "message or bodyBase64"),
    ({"queueName": "q", "message": None}, "", "message or bodyBase64"),
    ({"queueName": "q", "bodyBase64": "not base64!"}, "bodyBase64", "Base64"),
    ({"queueName": "q", "bodyBase64": 7}, "bodyBase64", "Base64"),
    ({"exchange": "e", "routingKey": "k" * 256, "message": "x"}, "routingKey", "255 bytes"),
    ({"messages": []}, "messages", "at least 1"),
    ({"messages": {}}, "messages", "array"),
    ({"messages": [{"queueName": "q", "message": "x"}], "queueName": "q"}, "", "all other fields"),
    ({"messages": [{"queueName": "q", "message": "x"}, {"queueName": "q"}]}, "messages.1", "message or bodyBase64"),
    ({"messages": [{"exchange": f"e{n}", "message": "x"} for n in range(101)]}, "", "100 different exchanges"),
    ({"messages": [{"queueName": "q", "message": "x"}] * 10_001}, "messages", "at most 10000"),
]


@pytest.mark.parametrize(("body", "field", "word"), WRONG)
def test_a_body_that_makes_no_sense_is_refused_and_nothing_is_published(
    service: Service, body: dict[str, Any], field: str, word: str
) -> None:
    service.post("/createQueue", {"queueName": "q"})
    problem = assert_problem(service.post("/messagePublish", body), 400, "invalid_request")
    assert problem["errors"][0]["field"] == field
    assert word in problem["errors"][0]["detail"]


WRONG_PROPERTIES: list[tuple[dict[str, Any], str, str]] = [
    ({"expiration": "soon"}, "expiration", "whole number"),
    ({"expiration": -1}, "expiration", "greater than or equal to 0"),
    ({"priority": 256}, "priority", "less than or equal to 255"),
    ({"priority": "high"}, "priority", "whole number"),
    ({"timestamp": "today"}, "timestamp", "whole number"),
    ({"persistent": 2}, "persistent", "true or false"),
    ({"messageId": ""}, "messageId", "empty"),
    ({"messageId": "m\r\nX-Evil: 1"}, "messageId", "control characters"),
    ({"messageId": "m" * 256}, "messageId", "255 bytes"),
    ({"correlationId": 5}, "correlationId", "string"),
    ({"replyTo": "amq.rabbitmq.reply-to"}, "replyTo", "name a queue"),
    ({"userId": "guest"}, "userId", "unknown field"),
    ({"headers": ["a"]}, "headers", "JSON object"),
    ({"headers": {"CC": ["other"]}}, "headers", "route"),
    ({"headers": {"bcc": ["other"]}}, "headers", "route"),
    ({"headers": {"x-death": [{"count": 5}]}}, "headers", "dead-letters a message"),
    ({"headers": {"workerrmq-attempts": 99}}, "headers", "the service reserves headers"),
    ({"headers": {"n": 2**63}}, "headers", "64 bits"),
    ({"headers": {"": 1}}, "headers", "1 to 128 bytes"),
    ({"headers": {"k" * 129: 1}}, "headers", "1 to 128 bytes"),
    ({"headers": {"v": "x" * 20_000}}, "headers", "16384 bytes"),
    ({"headers": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": 1}}}}}}}}}}, "headers", "nested"),
]


@pytest.mark.parametrize(("properties", "field", "word"), WRONG_PROPERTIES)
def test_properties_that_would_break_the_protocol_are_refused(
    service: Service, properties: dict[str, Any], field: str, word: str
) -> None:
    body = {"queueName": "q", "message": "x", "properties": properties}
    problem = assert_problem(service.post("/messagePublish", body), 400, "invalid_request")
    assert problem["errors"][0]["field"] == f"properties.{field}"
    assert word in problem["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"message": "x", "messageId": "m-1"}, "messageId"),
        ({"messages": [{"message": "x", "messageId": "m-1"}]}, "messages.0.messageId"),
    ],
)
def test_a_property_beside_the_message_is_told_its_place(service: Service, fields: dict[str, Any], place: str) -> None:
    problem = assert_problem(service.post("/messagePublish", {"queueName": "q"} | fields), 400, "invalid_request")
    wrong = {"field": place, "detail": "unknown field; did you mean 'properties.messageId'?"}
    assert problem["errors"] == [wrong]

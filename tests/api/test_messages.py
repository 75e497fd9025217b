"""Publishing over HTTP: what is said to be published is in the queue, as it was sent."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.api.service import Service, assert_problem
from tests.support.drain import take
from tests.support.node import BrokerNode


@pytest.fixture
def queue(service: Service) -> str:
    """A queue to publish to."""
    assert service.post("/createQueue", {"queueName": "orders"}).status_code == 201
    return "orders"


def test_the_customers_example_is_taken_and_answered_as_it_stands(service: Service, broker: BrokerNode) -> None:
    service.post("/createQueue", {"queueName": "example_queue"})
    answer = service.post("/messagePublish", {"queueName": "example_queue", "message": "Hello, World!"})
    assert answer.status_code == 200
    assert answer.get_json()["message"] == "Message has been published successfully."
    [(_, properties, body)] = take(broker, "example_queue")
    assert body == b"Hello, World!"
    assert properties.message_id == answer.get_json()["messageId"]
    assert (properties.delivery_mode, properties.content_type) == (2, "text/plain; charset=utf-8")


@pytest.mark.broker_independent
@pytest.mark.parametrize(
    ("given", "body", "content_type"),
    [
        ({"message": "Grüße, 世界 🎉"}, "Grüße, 世界 🎉".encode(), "text/plain; charset=utf-8"),
        ({"message": ""}, b"", "text/plain; charset=utf-8"),
        (
            {"message": {"id": 7, "tags": ["ü", None, 1.5]}},
            json.dumps({"id": 7, "tags": ["ü", None, 1.5]}).encode(),
            "application/json",
        ),
        ({"message": [1, 2]}, b"[1, 2]", "application/json"),
        ({"message": 10**25}, b"10000000000000000000000000", "application/json"),
        ({"message": False}, b"false", "application/json"),
        ({"bodyBase64": base64.b64encode(bytes(range(256))).decode()}, bytes(range(256)), "application/octet-stream"),
        ({"bodyBase64": ""}, b"", "application/octet-stream"),
    ],
)
def test_text_goes_as_it_is_json_as_json_and_bytes_as_bytes(
    service: Service, broker: BrokerNode, queue: str, given: dict[str, Any], body: bytes, content_type: str
) -> None:
    assert service.post("/messagePublish", {"queueName": queue, **given}).status_code == 200
    [(_, properties, arrived)] = take(broker, queue)
    assert (arrived, properties.content_type) == (body, content_type)


JSON_TEXTS = [
    b"1e400",
    b"0.1234567890123456789012345",
    b"-0",
    b"123456789012345678901234567890",
    b'{"a" : 1, "a": 2.0}',
    b'["\\u00e9\\/", "  "]',
]


def test_json_arrives_byte_for_byte_as_it_was_sent(service: Service, broker: BrokerNode, queue: str) -> None:
    messages = [b'{"queueName": "orders", "message": ' + text + b"}" for text in JSON_TEXTS]
    for one in messages:
        assert service.post("/messagePublish", one, headers={"Content-Type": "application/json"}).status_code == 200
    batch = b'{"messages": [' + b", ".join(messages) + b"]}"
    assert service.post("/messagePublish", batch, headers={"Content-Type": "application/json"}).status_code == 200
    lines = service.post("/messagePublish", b"\n".join(messages), headers={"Content-Type": "application/x-ndjson"})
    assert lines.status_code == 200
    assert [body for _, _, body in take(broker, queue)] == JSON_TEXTS * 3


def test_all_properties_arrive(service: Service, broker: BrokerNode, queue: str) -> None:
    headers = {"x-tenant": "blue", "n": 7, "big": 2**40, "deep": {"list": [1, "two", True, None]}}
    properties = {
        "contentType": "application/xml",
        "contentEncoding": "utf-8",
        "headers": headers,
        "correlationId": "c-1",
        "messageId": "m-1",
        "replyTo": "answers",
        "type": "order.created",
        "appId": "crm",
        "priority": 3,
        "expiration": 60000,
        "timestamp": 1_700_000_000,
        "persistent": False,
    }
    answer = service.post("/messagePublish", {"queueName": queue, "message": "<a/>", "properties": properties})
    assert answer.get_json()["messageId"] == "m-1"
    [(_, arrived, _)] = take(broker, queue)
    assert arrived.headers == headers
    assert (arrived.content_type, arrived.content_encoding) == ("application/xml", "utf-8")
    assert (arrived.correlation_id, arrived.message_id, arrived.reply_to) == ("c-1", "m-1", "answers")
    assert (arrived.type, arrived.app_id, arrived.priority) == ("order.created", "crm", 3)
    assert (arrived.expiration, arrived.timestamp, arrived.delivery_mode) == ("60000", 1_700_000_000, 1)


@pytest.mark.broker_independent
def test_the_requests_trace_and_correlation_go_with_the_message(
    service: Service, broker: BrokerNode, queue: str
) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"traceparent": parent, "tracestate": "vendor=1", "X-Correlation-ID": "order 7"}
    service.post("/messagePublish", {"queueName": queue, "message": "a"}, headers=headers)
    own = {"correlationId": "mine", "headers": {"traceparent": "of the message"}}
    service.post("/messagePublish", {"queueName": queue, "message": "b", "properties": own}, headers=headers)
    malformed = {"traceparent": "nonsense", "X-Correlation-ID": "x" * 300}
    service.post("/messagePublish", {"queueName": queue, "message": "c"}, headers=malformed)
    [first, second, third] = [properties for _, properties, _ in take(broker, queue)]
    assert first.correlation_id == "order 7"
    assert first.headers == {"traceparent": parent, "tracestate": "vendor=1"}
    assert second.correlation_id == "mine", "what the client says of the message goes before"
    assert second.headers["traceparent"] == "of the message"
    assert (third.correlation_id, third.headers) == (None, None)


def test_an_exchange_routes_by_key_and_what_has_no_queue_is_unroutable(
    service: Service, broker: BrokerNode, queue: str
) -> None:
    service.post("/createExchange", {"exchange": "events", "type": "topic"})
    service.post("/bindQueue", {"exchange": "events", "queueName": queue, "routingKey": "order.*"})
    sent = service.post("/messagePublish", {"exchange": "events", "routingKey": "order.new", "message": "1"})
    assert sent.status_code == 200
    lost = service.post("/messagePublish", {"exchange": "events", "routingKey": "invoice.new", "message": "2"})
    assert_problem(lost, 422, "unroutable", "events", "invoice.new")
    [(method, _, body)] = take(broker, queue)
    assert (method.exchange, method.routing_key, body) == ("events", "order.new", b"1")


def test_a_batch_is_published_in_order_with_one_result_each(service: Service, broker: BrokerNode, queue: str) -> None:
    messages = [{"queueName": queue, "message": str(number)} for number in range(1000)]
    answer = service.post("/messagePublish", {"messages": messages})
    assert answer.status_code == 200
    content = answer.get_json()
    assert content["message"] == "1000 messages have been published successfully."
    assert (content["published"], content["failed"]) == (1000, 0)
    arrived = take(broker, queue)
    assert [body for _, _, body in arrived] == [str(number).encode() for number in range(1000)]
    assert [properties.message_id for _, properties, _ in arrived] == [one["messageId"] for one in content["results"]]
    assert {one["status"] for one in content["results"]} == {"published"}


@pytest.mark.broker_independent
def test_a_batch_may_come_as_a_message_a_line(service: Service, broker: BrokerNode, queue: str) -> None:
    ndjson = {"Content-Type": "application/x-ndjson"}
    lines = b"".join(b'{"queueName": "orders", "message": "%d"}\n' % number for number in range(50))
    answer = service.post("/messagePublish", b"\n" + lines + b"\r\n", headers=ndjson)
    assert (answer.status_code, answer.get_json()["published"]) == (200, 50)
    assert [body for _, _, body in take(broker, queue)] == [b"%d" % number for number in range(50)]
    broken = service.post("/messagePublish", lines + b"{oops}\n" + lines, headers=ndjson)
    assert_problem(broken, 400, "malformed_json", "Line 51")
    wrong = service.post("/messagePublish", lines + b"7\n", headers=ndjson)
    assert assert_problem(wrong, 400, "invalid_request")["errors"][0]["field"] == "messages.50"
    assert_problem(service.post("/messagePublish", b"", headers=ndjson), 400, "invalid_request", "at least 1")
    assert take(broker, queue) == [], "of a batch that makes no sense nothing is published"
    assert_problem(service.post("/createQueue", lines, headers=ndjson), 415, "unsupported_media_type")


def test_a_partial_failure_of_a_batch_names_the_messages_to_publish_again(
    service: Service, broker: BrokerNode, queue: str
) -> None:
    names = [queue, "missing", queue, queue, "missing"]
    messages: list[dict[str, Any]] = [{"queueName": name, "message": name} for name in names]
    messages.append({"exchange": "absent", "message": "x", "properties": {"messageId": "mine"}})
    answer = service.post("/messagePublish", {"messages": messages})
    assert answer.status_code == 207
    content = answer.get_json()
    assert (content["published"], content["failed"]) == (3, 3)
    codes = [one.get("code") for one in content["results"]]
    assert codes == [None, "unroutable", None, None, "unroutable", "exchange_not_found"]
    assert content["results"][5]["messageId"] == "mine"
    assert "'missing'" in content["results"][1]["detail"]
    service.post("/createQueue", {"queueName": "missing"})
    again = [messages[number] for number in (1, 4)]
    assert service.post("/messagePublish", {"messages": again}).status_code == 200
    assert (len(take(broker, queue)), len(take(broker, "missing"))) == (3, 2)


def test_the_largest_headers_that_are_taken_arrive(service: Service, broker: BrokerNode, queue: str) -> None:
    headers = {"many": [1] * 8000, "long": "x" * 300}
    body = {"queueName": queue, "message": "x", "properties": {"headers": headers, "messageId": "i" * 255}}
    assert service.post("/messagePublish", body).status_code == 200
    [(_, properties, _)] = take(broker, queue)
    assert properties.headers == headers


@pytest.mark.broker_independent
def test_publishing_takes_the_role_of_a_publisher(service: Service, queue: str) -> None:
    body = {"queueName": queue, "message": "x"}
    assert service.post("/messagePublish", body, role="publisher").status_code == 200
    assert_problem(service.post("/messagePublish", body, role="viewer"), 403, "forbidden")
    assert_problem(service.post("/createQueue", {"queueName": "q2"}, role="publisher"), 403, "forbidden")

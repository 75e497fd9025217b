"""Publishing over HTTP: what is said to be published is in the queue, as it was sent."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.service import Service, assert_problem
from tests.support.node import BrokerNode
from tests.support.processes import wait_until


@pytest.fixture
def queue(service: Service) -> str:
    """A queue to publish to."""
    assert service.post("/createQueue", {"queueName": "orders"}).status_code == 201
    return "orders"


def take(broker: BrokerNode, queue: str) -> list[tuple[Any, Any, bytes]]:
    """All messages of a queue, taken off it: method, properties, body."""
    with broker.connect() as connection:
        channel = connection.channel()
        found = []
        while (message := channel.basic_get(queue, auto_ack=True))[0] is not None:
            found.append(message)
        return found


def test_the_customers_example_is_taken_and_answered_as_it_stands(service: Service, broker: BrokerNode) -> None:
    service.post("/createQueue", {"queueName": "example_queue"})
    answer = service.post("/messagePublish", {"queueName": "example_queue", "message": "Hello, World!"})
    assert answer.status_code == 200
    assert answer.get_json()["message"] == "Message has been published successfully."
    [(_, properties, body)] = take(broker, "example_queue")
    assert body == b"Hello, World!"
    assert properties.message_id == answer.get_json()["messageId"]
    assert (properties.delivery_mode, properties.content_type) == (2, "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("given", "body", "content_type"),
    [
        ({"message": "Grüße, 世界 🎉"}, "Grüße, 世界 🎉".encode(), "text/plain; charset=utf-8"),
        ({"message": ""}, b"", "text/plain; charset=utf-8"),
        (
            {"message": {"id": 7, "tags": ["ü", None, 1.5]}},
            '{"id":7,"tags":["ü",null,1.5]}'.encode(),
            "application/json",
        ),
        ({"message": [1, 2]}, b"[1,2]", "application/json"),
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


def test_a_missing_queue_is_unroutable_and_is_not_made(service: Service) -> None:
    answer = service.post("/messagePublish", {"queueName": "nowhere", "message": "x"})
    assert_problem(answer, 422, "unroutable", "'nowhere'")
    assert_problem(service.get("/getQueue", queueName="nowhere"), 404, "queue_not_found")


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


def test_a_client_that_names_a_missing_exchange_costs_no_other_client_a_message(service: Service, queue: str) -> None:
    service.post("/createExchange", {"exchange": "inner", "internal": True})

    def publish(number: int) -> int:
        way = [{"queueName": queue}, {"exchange": "missing", "routingKey": "x"}, {"exchange": "inner"}][number % 3]
        return service.post("/messagePublish", {**way, "message": "x"}).status_code

    service.get("/getQueues")  # logs in before the threads do
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(publish, range(90))) == [200, 422, 422] * 30


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


def test_what_failed_of_a_batch_is_told_so_that_it_can_be_sent_again(
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


def test_a_batch_that_fails_as_a_whole_is_that_error(service: Service) -> None:
    messages = [{"queueName": "missing", "message": "x"}] * 3
    assert_problem(service.post("/messagePublish", {"messages": messages}), 422, "unroutable", "None of the 3")


def test_a_full_queue_refuses(service: Service, broker: BrokerNode) -> None:
    service.post("/createQueue", {"queueName": "small", "maxLength": 1, "overflow": "reject-publish"})
    assert service.post("/messagePublish", {"queueName": "small", "message": "1"}).status_code == 200
    refused = service.post("/messagePublish", {"queueName": "small", "message": "2"})
    assert_problem(refused, 503, "publish_refused", "full")
    assert refused.headers["Retry-After"]
    assert [body for _, _, body in take(broker, "small")] == [b"1"]


def test_while_the_broker_is_away_nothing_is_accepted_and_after_it_is_back_all_is_well(
    make_service: Callable[..., Service], broker: BrokerNode
) -> None:
    service = make_service(publish_timeout=1)
    service.post("/createQueue", {"queueName": "orders"})
    broker.stop()
    refused = service.post("/messagePublish", {"queueName": "orders", "message": "while away"})
    assert_problem(refused, 503, "broker_unavailable")
    assert refused.headers["Retry-After"]
    broker.start()
    back = {"queueName": "orders", "message": "back"}
    wait_until(lambda: service.post("/messagePublish", back).status_code == 200, 30)
    bodies = [body for _, _, body in take(broker, "orders")]
    assert set(bodies) == {b"back"}, "what was refused must not turn up later"


def test_a_broker_that_hangs_is_no_success(make_service: Callable[..., Service], broker: BrokerNode) -> None:
    service = make_service(publish_timeout=0.5)
    service.post("/createQueue", {"queueName": "orders"})
    broker.suspend()
    try:
        answer = service.post("/messagePublish", {"queueName": "orders", "message": "anyone?"})
    finally:
        broker.resume()
    assert_problem(answer, 504, "publish_unconfirmed", "may have been published")


def test_under_a_memory_alarm_publishing_is_refused_until_it_is_over(
    make_service: Callable[..., Service], broker: BrokerNode
) -> None:
    service = make_service(publish_timeout=2)
    service.post("/createQueue", {"queueName": "orders"})
    body = {"queueName": "orders", "message": "x"}
    broker.set_memory_alarm(True)
    try:
        for _ in range(3):
            refused = service.post("/messagePublish", body)
            assert_problem(refused, 503, "publish_refused", "takes no messages")
            assert int(refused.headers["Retry-After"]) > 0
    finally:
        broker.set_memory_alarm(False)
    wait_until(lambda: service.post("/messagePublish", body).status_code == 200)


def test_what_was_accepted_is_in_the_queue_though_the_broker_was_killed_meanwhile(
    make_service: Callable[..., Service], broker: BrokerNode
) -> None:
    service = make_service(publish_timeout=2)
    service.post("/createQueue", {"queueName": "orders"})
    accepted: set[str] = set()
    statuses: set[int] = set()
    stop = threading.Event()

    def publish() -> None:
        while not stop.is_set():
            messages = [{"queueName": "orders", "message": "x"}] * 20
            answer = service.post("/messagePublish", {"messages": messages})
            statuses.add(answer.status_code)
            if answer.status_code in (200, 207):
                results = answer.get_json()["results"]
                accepted.update(one["messageId"] for one in results if one["status"] == "published")

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(accepted) > 500, 30)
    broker.kill()
    wait_until(lambda: statuses - {200, 207}, 30)
    broker.start()
    before = len(accepted)
    wait_until(lambda: len(accepted) > before + 500, 60)
    stop.set()
    for thread in threads:
        thread.join()
    assert statuses <= {200, 207, 503, 504}
    found = {properties.message_id for _, properties, _ in take(broker, "orders")}
    assert accepted <= found


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({}, "", "queueName, or exchange"),
    ({"queueName": "q"}, "", "message or bodyBase64"),
    ({"message": "x"}, "", "queueName, or exchange"),
    ({"queueName": "", "message": "x"}, "queueName", "empty"),
    ({"queueName": "q", "exchange": "e", "message": "x"}, "", "queueName, or exchange"),
    ({"queueName": "q", "routingKey": "k", "message": "x"}, "", "routingKey goes with exchange"),
    ({"queueName": "q", "message": "x", "bodyBase64": "eA=="}, "", "message or bodyBase64"),
    ({"queueName": "q", "message": None}, "", "message or bodyBase64"),
    ({"queueName": "q", "bodyBase64": "not base64!"}, "bodyBase64", "Base64"),
    ({"queueName": "q", "bodyBase64": 7}, "bodyBase64", "Base64"),
    ({"exchange": "e", "routingKey": "k" * 256, "message": "x"}, "routingKey", "255 bytes"),
    ({"messages": []}, "messages", "at least 1"),
    ({"messages": {}}, "messages", "tuple"),
    ({"messages": [{"queueName": "q", "message": "x"}], "queueName": "q"}, "", "alone"),
    ({"messages": [{"queueName": "q", "message": "x"}, {"queueName": "q"}]}, "messages.1", "message or bodyBase64"),
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
    ({"expiration": "soon"}, "expiration", "integer"),
    ({"expiration": -1}, "expiration", "greater than or equal to 0"),
    ({"priority": 256}, "priority", "less than or equal to 255"),
    ({"priority": "high"}, "priority", "integer"),
    ({"timestamp": "today"}, "timestamp", "integer"),
    ({"persistent": 2}, "persistent", "boolean"),
    ({"messageId": ""}, "messageId", "empty"),
    ({"messageId": "m\r\nX-Evil: 1"}, "messageId", "control characters"),
    ({"messageId": "m" * 256}, "messageId", "255 bytes"),
    ({"correlationId": 5}, "correlationId", "string"),
    ({"userId": "guest"}, "userId", "not known"),
    ({"headers": ["a"]}, "headers", "dictionary"),
    ({"headers": {"CC": ["other"]}}, "headers", "route"),
    ({"headers": {"bcc": ["other"]}}, "headers", "route"),
    ({"headers": {"x-death": [{"count": 5}]}}, "headers", "dead-lettered"),
    ({"headers": {"workerrmq-attempts": 99}}, "headers", "history of deliveries"),
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


def test_the_largest_headers_that_are_taken_arrive(service: Service, broker: BrokerNode, queue: str) -> None:
    headers = {"many": [1] * 8000, "long": "x" * 300}
    body = {"queueName": queue, "message": "x", "properties": {"headers": headers, "messageId": "i" * 255}}
    assert service.post("/messagePublish", body).status_code == 200
    [(_, properties, _)] = take(broker, queue)
    assert properties.headers == headers


def test_publishing_takes_the_role_of_a_publisher(service: Service, queue: str) -> None:
    body = {"queueName": queue, "message": "x"}
    assert service.post("/messagePublish", body, role="publisher").status_code == 200
    assert_problem(service.post("/messagePublish", body, role="viewer"), 403, "forbidden")
    assert_problem(service.post("/createQueue", {"queueName": "q2"}, role="publisher"), 403, "forbidden")

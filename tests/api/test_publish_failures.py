"""Publishing over HTTP when it cannot be done: nothing is lost that was accepted, nothing accepted that is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.api.service import Service, assert_problem
from tests.support.drain import take
from tests.support.node import BrokerNode
from tests.support.processes import wait_until


@pytest.fixture
def queue(service: Service) -> str:
    """A queue to publish to."""
    assert service.post("/createQueue", {"queueName": "orders"}).status_code == 201
    return "orders"


def test_a_missing_queue_is_unroutable_and_is_not_made(service: Service) -> None:
    answer = service.post("/messagePublish", {"queueName": "nowhere", "message": "x"})
    assert_problem(answer, 422, "unroutable", "'nowhere'")
    assert_problem(service.get("/getQueue", queueName="nowhere"), 404, "queue_not_found")


def test_a_client_that_names_a_missing_exchange_costs_no_other_client_a_message(service: Service, queue: str) -> None:
    service.post("/createExchange", {"exchange": "inner", "internal": True})
    elsewhere = [{"exchange": name, "routingKey": queue} for name in ("missing", "inner", "amq.default")]
    ways: list[dict[str, str]] = [{"queueName": queue}, *elsewhere]

    def publish(number: int) -> int:
        way = ways[number % len(ways)]
        return service.post("/messagePublish", {**way, "message": "x"}).status_code

    service.get("/getQueues")  # logs in before the threads do
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(publish, range(100))) == [200, 422, 422, 422] * 25


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


@pytest.mark.versions
def test_the_error_of_a_full_queue_says_that_other_queues_may_have_the_message(service: Service) -> None:
    service.post("/createQueue", {"queueName": "full", "maxLength": 1, "overflow": "reject-publish"})
    service.post("/messagePublish", {"queueName": "full", "message": "1"})
    service.post("/createQueue", {"queueName": "other"})
    service.post("/createExchange", {"exchange": "both", "type": "fanout"})
    for queue in ("full", "other"):
        service.post("/bindQueue", {"exchange": "both", "queueName": queue})
    message = {"exchange": "both", "message": "2"}
    assert_problem(service.post("/messagePublish", message), 503, "publish_refused", "other queues may have received")
    refused = service.post("/messagePublish", {"messages": [message] * 2})
    detail = assert_problem(refused, 503, "publish_refused", "confirmed none of the 2 messages; they may be in a queue")
    assert "was published" not in detail["detail"]
    mixed = service.post("/messagePublish", {"messages": [message, {"queueName": "other", "message": "3"}]})
    assert mixed.get_json()["message"] == "1 of 2 messages failed. 1 of these may be in a queue."
    assert wait_until(lambda: service.get("/getQueue", queueName="other").get_json()["messages"] == 5)


def test_publishing_fails_while_the_broker_is_down_and_works_afterwards(
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
        batch = service.post("/messagePublish", {"messages": [{"queueName": "orders", "message": "anyone?"}] * 2})
    finally:
        broker.resume()
    assert_problem(answer, 504, "publish_unconfirmed", "may have been published")
    assert_problem(batch, 504, "publish_unconfirmed", "none of the 2 messages; they may be in a queue")


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
            assert_problem(refused, 503, "publish_refused", "accepts no messages")
            assert int(refused.headers["Retry-After"]) > 0
    finally:
        broker.set_memory_alarm(False)
    wait_until(lambda: service.post("/messagePublish", body).status_code == 200)


def test_accepted_messages_are_in_the_queue_after_the_broker_was_killed(
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
    try:
        wait_until(lambda: len(accepted) > 100, 30)
        broker.kill()
        wait_until(lambda: statuses - {200, 207}, 30)
        broker.start()
        before = len(accepted)
        wait_until(lambda: len(accepted) > before, 60)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert statuses <= {200, 207, 503, 504}
    found = {properties.message_id for _, properties, _ in take(broker, "orders")}
    assert accepted <= found


@pytest.mark.parametrize("broker", ["rabbitmq4"], indirect=True)
def test_a_message_over_the_brokers_limit_is_too_large(make_service: Callable[..., Service]) -> None:
    service = make_service(max_body_bytes=40_000_000)
    service.post("/createQueue", {"queueName": "orders"})
    answer = service.post("/messagePublish", {"queueName": "orders", "message": "x" * 17_000_000})
    assert_problem(answer, 413, "message_too_large", "17000000 bytes", "16777216")

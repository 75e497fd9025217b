"""The document's examples once more, in Kombu's own words: the real library against `python -m broker`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import kombu
import pytest

from tests.support.embedded import EmbeddedNode


@pytest.fixture
def connection(embedded: EmbeddedNode) -> Iterator[kombu.Connection]:
    """Kombu, connected to the embedded broker."""
    with kombu.Connection(embedded.amqp_url) as one:
        yield one


def declared(connection: kombu.Connection, name: str, exchange: Any = "", routing_key: str = "") -> kombu.Queue:
    queue = kombu.Queue(name, exchange, routing_key or name)(connection.default_channel)
    queue.declare()
    return queue


def consumed(connection: kombu.Connection, queue: kombu.Queue, count: int) -> list[Any]:
    """The bodies of so many messages, each acked."""
    got: list[Any] = []

    def callback(body: Any, message: kombu.Message) -> None:
        got.append(body)
        message.ack()

    with connection.Consumer(queue, callbacks=[callback]):
        while len(got) < count:
            connection.drain_events(timeout=20)
    return got


def test_basic_producer_consumer_pattern(connection: kombu.Connection) -> None:
    queue = declared(connection, "my_queue")
    connection.Producer(routing_key="my_queue").publish({"message": "Hello, World!"})
    assert consumed(connection, queue, 1) == [{"message": "Hello, World!"}]


def test_using_exchanges_for_routing(connection: kombu.Connection) -> None:
    exchange = kombu.Exchange("logs", type="direct")
    queue = declared(connection, "error_logs", exchange, "error")
    producer = connection.Producer(exchange=exchange)
    producer.publish({"level": "error", "message": "Something went wrong"}, routing_key="error")
    producer.publish({"level": "info"}, routing_key="info")
    assert queue.get(no_ack=True).payload == {"level": "error", "message": "Something went wrong"}
    assert queue.get(no_ack=True) is None


def test_fanout_exchange(connection: kombu.Connection) -> None:
    exchange = kombu.Exchange("notifications", type="fanout")
    queues = [declared(connection, name, exchange) for name in ("email_notifications", "sms_notifications")]
    connection.Producer(exchange=exchange).publish({"event": "user_signup", "user_id": 123})
    for queue in queues:
        assert queue.get(no_ack=True).payload == {"event": "user_signup", "user_id": 123}


def test_message_acknowledgment(connection: kombu.Connection) -> None:
    queue = declared(connection, "tasks")
    connection.Producer(routing_key="tasks").publish({"task": "process_data", "data_id": 456})
    queue.get(no_ack=False).reject(requeue=True)
    message = queue.get(no_ack=False)
    assert message.delivery_info["redelivered"]
    message.ack()
    assert queue.get() is None


def test_context_manager_for_connections(embedded: EmbeddedNode) -> None:
    with kombu.Connection(embedded.amqp_url) as connection:
        declared(connection, "temp_queue")
        connection.Producer(routing_key="temp_queue").publish("Temporary message")
    with kombu.Connection(embedded.amqp_url) as connection:
        assert declared(connection, "temp_queue").get(no_ack=True).payload == "Temporary message"


def test_consumer_with_callback(connection: kombu.Connection) -> None:
    queue = declared(connection, "work_queue")
    connection.Producer(routing_key="work_queue").publish("one")
    connection.Producer(routing_key="work_queue").publish("two")
    assert consumed(connection, queue, 2) == ["one", "two"]


def test_message_properties_and_headers(connection: kombu.Connection) -> None:
    queue = declared(connection, "priority_queue")
    connection.Producer(routing_key="priority_queue").publish(
        {"data": "important"}, headers={"priority": "high", "source": "api"}, correlation_id="7", priority=4
    )
    received = queue.get(no_ack=True)
    assert received.headers == {"priority": "high", "source": "api"}
    assert (received.properties["correlation_id"], received.properties["priority"]) == ("7", 4)


def test_multiple_producers_and_consumers(embedded: EmbeddedNode, connection: kombu.Connection) -> None:
    queue = declared(connection, "shared_queue")

    def produce(producer_id: int) -> None:
        with kombu.Connection(embedded.amqp_url) as mine:
            producer = mine.Producer(routing_key="shared_queue")
            for i in range(5):
                producer.publish(f"Message from producer {producer_id}: {i}")

    threads = [threading.Thread(target=produce, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = {f"Message from producer {p}: {i}" for p in range(3) for i in range(5)}
    assert set(consumed(connection, queue, 15)) == expected

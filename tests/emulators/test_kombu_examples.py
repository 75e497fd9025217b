"""The examples of the Kombu emulator's document, as they stand there."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from emulators.kombu_emulator import Connection, Consumer, Exchange, Message, Producer, Queue
from tests.support.processes import wait_until


def test_basic_producer_consumer_pattern(capsys: pytest.CaptureFixture[str]) -> None:
    conn = Connection()
    conn.connect()
    channel = conn.channel()
    queue = channel.queue_declare("my_queue")
    producer = Producer(channel, routing_key="my_queue")
    producer.publish({"message": "Hello, World!"})

    def callback(message: Message) -> None:
        print(f"Received: {message.body}")
        message.ack()

    consumer = Consumer(channel, queues=[queue], callbacks=[callback])
    consumer.consume()
    wait_until(lambda: capsys.readouterr().out == "Received: {'message': 'Hello, World!'}\n", 20, "the callback")
    conn.disconnect()


def test_using_exchanges_for_routing() -> None:
    conn = Connection()
    conn.connect()
    channel = conn.channel()
    exchange = channel.exchange_declare("logs", type="direct")
    channel.queue_declare("error_logs")
    channel.queue_bind("error_logs", "logs", routing_key="error")
    producer = Producer(channel, exchange=exchange)
    producer.publish({"level": "error", "message": "Something went wrong"}, routing_key="error")
    producer.publish({"level": "info"}, routing_key="info")
    message = channel.basic_get("error_logs", no_ack=True)
    assert message
    assert message.body == {"level": "error", "message": "Something went wrong"}
    assert channel.basic_get("error_logs", no_ack=True) is None
    conn.release()


def test_fanout_exchange() -> None:
    conn = Connection()
    conn.connect()
    channel = conn.channel()
    exchange = channel.exchange_declare("notifications", type="fanout")
    channel.queue_declare("email_notifications")
    channel.queue_declare("sms_notifications")
    channel.queue_bind("email_notifications", "notifications")
    channel.queue_bind("sms_notifications", "notifications")
    producer = Producer(channel, exchange=exchange)
    producer.publish({"event": "user_signup", "user_id": 123})
    email_msg = channel.basic_get("email_notifications", no_ack=True)
    sms_msg = channel.basic_get("sms_notifications", no_ack=True)
    assert email_msg
    assert sms_msg
    assert email_msg.body == sms_msg.body == {"event": "user_signup", "user_id": 123}
    conn.disconnect()


def test_message_acknowledgment() -> None:
    conn = Connection()
    conn.connect()
    channel = conn.channel()
    queue = channel.queue_declare("tasks")
    producer = Producer(channel, routing_key="tasks")
    producer.publish({"task": "process_data", "data_id": 456})
    tasks: list[Any] = []

    def process_task(body: Any) -> None:
        tasks.append(body)
        if len(tasks) == 1:
            raise ValueError("the first attempt fails")

    def work() -> None:
        message = channel.basic_get("tasks", no_ack=False)
        if message:
            try:
                process_task(message.body)
                message.ack()
            except ValueError:
                message.reject(requeue=True)

    work()
    assert queue.qsize() == 1
    work()
    assert tasks == [{"task": "process_data", "data_id": 456}] * 2
    conn.disconnect()
    assert Connection().channel().queue_declare("tasks").empty()


def test_context_manager_for_connections() -> None:
    with Connection() as conn:
        channel = conn.channel()
        channel.queue_declare("temp_queue")
        producer = Producer(channel, routing_key="temp_queue")
        producer.publish("Temporary message")

    with Connection() as conn:  # what waits is not lost with the connection
        message = conn.channel().basic_get("temp_queue", no_ack=True)
        assert message
        assert message.body == "Temporary message"


def test_consumer_with_callback(capsys: pytest.CaptureFixture[str]) -> None:
    conn = Connection()
    conn.connect()
    channel = conn.channel()
    queue = channel.queue_declare("work_queue")

    def process_message(message: Message) -> None:
        print(f"Processing: {message.body}")
        message.ack()

    consumer = Consumer(channel, queues=[queue], callbacks=[process_message], no_ack=False)
    consumer.consume()
    Producer(channel, routing_key="work_queue").publish("one")
    wait_until(lambda: capsys.readouterr().out == "Processing: one\n", 20, "the callback")
    conn.disconnect()


def test_message_properties_and_headers() -> None:
    conn = Connection()
    conn.connect()
    channel = conn.channel()
    channel.queue_declare("priority_queue")
    message = Message(
        body={"data": "important"},
        headers={"priority": "high", "source": "api"},
        properties={"timestamp": "2024-01-01T00:00:00Z"},
    )
    channel.basic_publish(message, routing_key="priority_queue")
    received = channel.basic_get("priority_queue", no_ack=True)
    assert received
    assert received.headers == {"priority": "high", "source": "api"}
    assert received.properties["timestamp"] == "2024-01-01T00:00:00Z"
    conn.disconnect()


def test_multiple_producers_and_consumers() -> None:
    conn = Connection()
    conn.connect()
    channel = conn.channel()
    queue = channel.queue_declare("shared_queue")

    def producer_task(producer_id: int) -> None:
        producer = Producer(channel, routing_key="shared_queue")
        for i in range(5):
            producer.publish(f"Message from producer {producer_id}: {i}")

    threads = []
    for i in range(3):
        t = threading.Thread(target=producer_task, args=(i,))
        t.start()
        threads.append(t)
    for t in threads:
        t.join()
    messages_received: list[str] = []

    def callback(msg: Message) -> None:
        messages_received.append(msg.body)
        msg.ack()

    consumer = Consumer(channel, queues=[queue], callbacks=[callback])
    consumer.consume()
    wait_until(lambda: len(messages_received) == 15, 20, "15 messages")
    assert set(messages_received) == {f"Message from producer {p}: {i}" for p in range(3) for i in range(5)}
    conn.disconnect()


def test_the_api_reference_holds() -> None:
    conn = Connection(
        hostname="elsewhere", port=1, userid="me", password="secret", virtual_host="/", transport="memory"
    )
    channel = conn.channel()
    exchange = Exchange("topics", type="topic", durable=False, auto_delete=False, channel=channel)
    queue = Queue("orders", exchange, "order.*", durable=False, exclusive=False, auto_delete=False, channel=channel)
    exchange.bind_to("all", "#")
    assert exchange.get_bound_queues("order.new") == ["all", "orders"]
    Producer(channel, exchange, "order.new", serializer="json").publish([1], routing_key="order.paid")
    assert (queue.qsize(), queue.empty()) == (1, False)
    message = queue.get(block=True, timeout=1)
    message.requeue()
    message = queue.get()
    assert message.delivery_info["redelivered"]
    channel.basic_ack(message.delivery_info["delivery_tag"])
    queue.put(Message("back", "text/plain", "utf-8", {}, {}, None))
    got: list[str] = []
    tag = channel.basic_consume("orders", lambda one: got.append(one.body), no_ack=True, consumer_tag="mine")
    wait_until(lambda: got == ["back"], 20, "the message")
    assert tag == "mine"
    consumer = Consumer(channel, queues=[Queue("all")], no_ack=False)
    consumer.register_callback(
        lambda one: (got.append(one.body), channel.basic_reject(one.delivery_info["delivery_tag"]))
    )
    consumer.consume(no_ack=False)
    wait_until(lambda: got == ["back", [1]], 20, "the message")
    channel.close()
    conn.disconnect()


def test_exchanges_and_queues_need_no_channel() -> None:
    queue = Queue("held in hand")
    assert queue.empty()
    queue.put(Message({"a": 1}))
    assert queue.qsize() == 1
    message = queue.get(block=False)
    message.ack()
    assert message.body == {"a": 1}
    exchange = Exchange("held in hand", type="fanout")
    exchange.bind_to("held in hand")
    assert exchange.get_bound_queues("any") == ["held in hand"]

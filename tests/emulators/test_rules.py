"""The rules in docs/EMULATORS.md that Kombu does not have, and the operations that the emulator refuses."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from emulators.kombu_emulator import (
    Channel,
    Connection,
    Consumer,
    Empty,
    EmulatorError,
    Exchange,
    Message,
    Producer,
    Queue,
)
from tests.support.processes import wait_until


def body(message: Message | None) -> Any:
    assert message is not None
    return message.body


def dead_lettering(channel: Channel, name: str, **arguments: Any) -> tuple[Queue, Queue]:
    """A queue, and the one for its dead letters."""
    to_dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    return channel.queue_declare(name, arguments=to_dead | arguments), channel.queue_declare("dead")


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("a.*.c", "a.b.c", True),
        ("a.*.c", "a.c", False),
        ("a.#", "a", True),
        ("#.c", "a.b.c", True),
        ("*", "a.b", False),
    ],
)
def test_topic_patterns_hold_in_full(channel: Channel, pattern: str, key: str, matches: bool) -> None:
    exchange = channel.exchange_declare("topics", type="topic")
    exchange.bind_to("bound", pattern)
    assert exchange.get_bound_queues(key) == ["bound"] * matches


def test_a_headers_exchange_compares_headers(channel: Channel) -> None:
    exchange = channel.exchange_declare("by headers", type="headers")
    exchange.bind_to("both", arguments={"x-match": "all", "kind": "order", "vip": True})
    exchange.bind_to("either", arguments={"x-match": "any", "kind": "order", "vip": True})
    Producer(channel, exchange).publish("first", headers={"kind": "order", "vip": False})
    assert channel.basic_get("both") is None
    assert body(channel.basic_get("either")) == "first"


def test_a_rejected_message_is_dead_lettered_with_the_reason(channel: Channel) -> None:
    queue, dead = dead_lettering(channel, "work")
    queue.put(Message("poison"))
    queue.get().reject()
    letter = dead.get()
    assert letter.body == "poison"
    assert letter.headers["x-death"][0]["reason"] == "rejected"


def test_messages_expire_by_themselves(channel: Channel) -> None:
    got: list[Any] = []
    queue, dead = dead_lettering(channel, "short-lived", **{"x-message-ttl": 20})
    dead_lettering(channel, "of any age")
    Consumer(channel, [dead], [lambda message: got.append(message.body)]).consume()
    queue.put(Message("by the queue"))
    Producer(channel, routing_key="of any age").publish("by its own", expiration=0.1)
    wait_until(lambda: sorted(got) == ["by its own", "by the queue"], 20, "dead letters")


def test_higher_priorities_go_first(channel: Channel) -> None:
    queue = channel.queue_declare("ranked", arguments={"x-max-priority": 9})
    for priority in (1, 9, 5):
        Producer(channel, routing_key="ranked").publish(priority, priority=priority)
    assert [queue.get().body for _ in range(3)] == [9, 5, 1]


def test_prefetch_shares_what_waits_fairly(connection: Connection) -> None:
    queue = connection.channel().queue_declare("shared")
    for number in range(4):
        queue.put(Message(number))
    held: list[list[Message]] = [[], []]
    for mine in held:
        channel = connection.channel()
        channel.basic_qos(2)
        Consumer(channel, [queue], [mine.append]).consume()
    wait_until(lambda: [len(mine) for mine in held] == [2, 2], 20, "two messages each")
    queue.put(Message("waits"))
    assert queue.qsize() == 1
    held[1][0].ack()
    wait_until(lambda: len(held[1]) == 3, 20, "the next one, for whoever settled one")


def test_an_auto_delete_queue_goes_with_its_last_consumer_and_an_exclusive_one_with_its_connection(
    connection: Connection, unique_name: str
) -> None:
    other = Connection(virtual_host=unique_name)
    watching = connection.channel()
    channel = other.channel()
    Consumer(channel, [Queue("auto", auto_delete=True)], [print]).consume()
    channel.queue_declare("mine", exclusive=True)
    with pytest.raises(EmulatorError, match="exclusive access"):
        watching.basic_get("mine")
    other.disconnect()
    for gone in ("auto", "mine"):
        with pytest.raises(EmulatorError, match=f"no queue '{gone}'"):
            watching.basic_get(gone)


def test_a_full_queue_refuses(channel: Channel) -> None:
    queue = channel.queue_declare("small", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    queue.put(Message(1))
    with pytest.raises(EmulatorError, match="is full and refuses the message"):
        queue.put(Message(2))


def test_get_waits_for_a_message_until_its_timeout(channel: Channel) -> None:
    queue = channel.queue_declare("later")
    with pytest.raises(Empty):
        queue.get(timeout=0.01)
    with pytest.raises(Empty):
        queue.get(block=False)
    got: list[Any] = []
    waiting = threading.Thread(target=lambda: got.append(queue.get().body))
    waiting.start()
    queue.put(Message("at last"))
    waiting.join(20)
    assert got == ["at last"]


def test_closing_ends_a_wait_for_a_message(connection: Connection) -> None:
    channel = connection.channel()
    queue = channel.queue_declare("never")
    refusals: list[str] = []

    def wait() -> None:
        with pytest.raises(EmulatorError) as refusal:
            queue.get()
        refusals.append(str(refusal.value))

    waiting = threading.Thread(target=wait)
    waiting.start()
    channel.close()
    waiting.join(20)
    assert refusals[0] in ("The channel was closed.", "The channel is closed.")


def test_bytes_text_and_json_come_back_as_they_went(channel: Channel) -> None:
    queue = channel.queue_declare("types")
    for sent in (b"\x00\xff", "text", {"a": [1, None, 2.5]}, None):
        queue.put(Message(sent))
        assert queue.get().body == sent
    queue.put(Message("grüße", content_type="text/plain", content_encoding="latin-1"))
    assert queue.get().body == "grüße"


def test_a_delivered_message_can_be_published_again(channel: Channel) -> None:
    queue = channel.queue_declare("again")
    queue.put(Message({"a": 1}, headers={"h": 1}, properties={"correlation_id": 7}))
    queue.put(queue.get())
    second = queue.get()
    assert (second.body, second.headers, second.properties["correlation_id"]) == ({"a": 1}, {"h": 1}, 7)


def refused(channel: Channel, what: str) -> None:  # noqa: PLR0912 - a table of deeds
    """Do what shall be refused."""
    match what:
        case "type":
            channel.exchange_declare("x", type="fan")
        case "redeclared":
            channel.queue_declare("q", durable=False)
        case "argument":
            channel.queue_declare("q2", arguments={"x-message-ttl": "soon"})
        case "queue":
            channel.basic_get("nowhere")
        case "exchange":
            Producer(channel, exchange="nowhere").publish("x")
        case "body":
            channel.basic_publish(Message(object()), routing_key="q")
        case "text":
            channel.basic_publish(Message({}, content_type="text/plain"), routing_key="q")
        case "header":
            channel.basic_publish(Message(1, headers={"h": object()}), routing_key="q")
        case "priority":
            channel.basic_publish(Message(1, properties={"priority": 300}), routing_key="q")
        case "expiration":
            channel.basic_publish(Message(1, properties={"expiration": "soon"}), routing_key="q")
        case "serializer":
            Producer(channel, routing_key="q", serializer="yaml")
        case "callback":
            Consumer(channel, [Queue("q")]).consume()
        case "json":
            channel.basic_publish(Message(b"{oops", content_type="application/json"), routing_key="q")
            body(channel.basic_get("q"))
        case "undelivered":
            Message(1).ack()
        case "twice":
            channel.queue_declare("q").put(Message(1))
            message = channel.basic_get("q")
            assert message
            message.ack()
            message.ack()  # as with no_ack, it is already
            message.reject()


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("type", r"Unknown exchange type 'fan'\. Allowed: direct, fanout, headers, topic\."),
        ("redeclared", r"inequivalent arg 'durable' for queue 'q' .* received 'false' but current is 'true'"),
        ("argument", r"invalid arg 'x-message-ttl' for queue 'q2'"),
        ("queue", r"no queue 'nowhere'"),
        ("exchange", r"no exchange 'nowhere'"),
        ("body", r"Cannot publish the message as application/json .*object is not JSON serializable"),
        ("text", r"Cannot publish the message as text/plain"),
        ("header", r"object has no AMQP field type"),
        ("priority", r"'priority': 300.*range"),
        ("expiration", r"invalid expiration 'soon'"),
        ("serializer", r"Unknown serializer 'yaml'\. Allowed: json"),
        ("callback", r"has no callback"),
        ("json", r"not valid application/json: Expecting property name"),
        ("undelivered", r"was not delivered or is already settled"),
        ("twice", r"already settled"),
    ],
)
def test_an_impossible_operation_is_refused_with_a_reason(channel: Channel, what: str, sentence: str) -> None:
    channel.queue_declare("q")
    with pytest.raises(EmulatorError, match=sentence):
        refused(channel, what)
    channel.queue_declare("q").put(Message("goes on"))  # the channel is still good


def test_a_closed_channel_or_connection_stays_closed(unique_name: str) -> None:
    connection = Connection(virtual_host=unique_name)
    channel = connection.channel()
    channel.close()
    channel.close()
    with pytest.raises(EmulatorError, match="The channel is closed"):
        channel.queue_declare("q")
    connection.disconnect()
    connection.disconnect()


def test_an_exchange_is_declared_by_what_first_uses_it(channel: Channel) -> None:
    exchange = Exchange("lazy", type="fanout")
    queue = Queue("bound to lazy", exchange)
    got: list[Any] = []
    Consumer(channel, [queue], [lambda message: got.append(message.body)], no_ack=True).consume()
    Producer(channel, exchange).publish(1)
    wait_until(lambda: got == [1], 20, "the message")

"""The same random script on RabbitMQ and on the embedded broker, step by step: every answer must be the same."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pika
import pytest
from hypothesis import HealthCheck, example, given, note, settings
from hypothesis import strategies as st
from pika.exceptions import ChannelClosedByBroker, ConnectionClosedByBroker, NackError, UnroutableError

from tests.support.amqp import Message, get
from tests.support.embedded import EmbeddedNode
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.rabbitmq import RabbitNode

Step = tuple[Any, ...]
QUEUES = ("one", "two")
ARGUMENTS: tuple[dict[str, Any], ...] = (
    {},
    {"x-max-length": 2},
    {"x-max-length": 2, "x-overflow": "reject-publish"},
    {"x-max-priority": 3},
    {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "two"},
    {"x-dead-letter-exchange": "x", "x-max-length": 1},
    {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "one", "x-max-length": 2,
     "x-overflow": "reject-publish-dlx"},
    {"x-max-length-bytes": 3},
    {"x-message-ttl": 0},
    {"x-message-ttl": "soon"},
    {"x-queue-mode": "lazy"},
    {"x-single-active-consumer": True},
)  # fmt: skip

queue = st.sampled_from(QUEUES)
key = st.sampled_from(["", "one", "two", "a", "a.b", "a.b.c", "*", "#"])
exchange = st.sampled_from(["", "x", "amq.fanout", "amq.topic", "missing"])
headers = st.sampled_from([None, {}, {"k": 1}, {"k": "1", "j": 2}, {"CC": ["two"]}])
STEPS = st.one_of(
    st.tuples(st.just("declare"), queue, st.sampled_from(ARGUMENTS), st.booleans()),
    st.tuples(st.just("delete"), queue, st.booleans(), st.booleans()),
    st.tuples(st.just("purge"), queue),
    st.tuples(st.just("declare exchange"), st.sampled_from(["direct", "fanout", "topic", "headers"]), st.booleans()),
    st.tuples(st.just("delete exchange"), st.booleans()),
    st.tuples(st.just("bind"), queue, exchange, key, st.sampled_from([None, {"x-match": "any", "k": 1}, {"k": 1}])),
    st.tuples(st.just("unbind"), queue, exchange, key),
    *[st.tuples(st.just("publish"), exchange, key, headers, st.sampled_from([None, 0, 2, 9]), st.booleans())] * 4,
    *[st.tuples(st.just("publish"), st.just(""), queue, headers, st.sampled_from([None, 2]), st.booleans())] * 4,
    *[st.tuples(st.just("get"), queue, st.booleans())] * 4,
    *[st.tuples(st.just("settle"), st.sampled_from(["ack", "nack", "requeue"]), st.integers(0, 4), st.booleans())] * 4,
    *[st.tuples(st.just("consume"), queue, st.sampled_from([0, 1, 2]), st.booleans())] * 2,
    st.tuples(st.just("cancel"), st.integers(0, 4)),
    st.tuples(st.just("recover")),
    st.tuples(st.just("reopen")),
)


class Client:
    """Runs steps on one broker and tells what came of each."""

    def __init__(self, broker: BrokerNode) -> None:
        self._broker = broker
        self._connection = broker.connect()
        self._observer = self._connection.channel()
        self._names = count(1)
        self._open()
        self.exists: set[str] = set()
        self.delivered: list[Any] = []
        self._published = 0

    def _open(self) -> None:
        if self._connection.is_closed:
            self._connection = self._broker.connect()
            self._observer = self._connection.channel()
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()
        self._tags: list[int] = []
        self._consumers: list[str] = []

    def close(self) -> None:
        self._connection.close()

    def run(self, step: Step) -> Any:
        """What the step answers, or how it was refused."""
        name, *arguments = step
        actions: dict[str, Callable[..., Any]] = {
            "declare": self._declare,
            "delete": self._delete,
            "purge": lambda queue: self._channel.queue_purge(queue).method.message_count,
            "declare exchange": lambda kind, durable: self._channel.exchange_declare("x", kind, durable=durable).method,
            "delete exchange": lambda if_unused: self._channel.exchange_delete("x", if_unused=if_unused).method,
            "bind": lambda *to: self._channel.queue_bind(*to).method,
            "unbind": lambda *to: self._channel.queue_unbind(*to).method,
            "publish": self._publish,
            "get": self._get,
            "settle": self._settle,
            "consume": self._consume,
            "cancel": self._cancel,
            "recover": lambda: self._channel.basic_recover(requeue=True),
            "reopen": self._reopen,
        }
        try:
            return str(actions[name](*arguments))
        except (ChannelClosedByBroker, ConnectionClosedByBroker) as closed:
            self._open()
            return type(closed).__name__, closed.reply_code, closed.reply_text.partition("'")[0]
        except UnroutableError as returned:
            return "returned", [message.body for message in returned.messages]
        except NackError:
            return "nacked"

    def ready(self, queue: str) -> int:
        """How many messages are ready."""
        return int(self._observer.queue_declare(queue, passive=True).method.message_count)

    def _declare(self, queue: str, arguments: dict[str, Any], durable: bool) -> Any:
        method = self._channel.queue_declare(queue, durable=durable, arguments=arguments).method
        self.exists.add(queue)
        return method.queue, method.message_count, method.consumer_count

    def _delete(self, queue: str, if_unused: bool, if_empty: bool) -> Any:
        method = self._channel.queue_delete(queue, if_unused=if_unused, if_empty=if_empty).method
        self.exists.discard(queue)
        return method.message_count

    def _publish(
        self, exchange: str, key: str, headers: dict[str, Any] | None, priority: int | None, mandatory: bool
    ) -> None:
        self._published += 1
        properties = pika.BasicProperties(headers=headers, priority=priority)
        self._channel.basic_publish(exchange, key, str(self._published), properties, mandatory)

    def _get(self, queue: str, auto_ack: bool) -> Any:
        message = get(self._channel, queue, auto_ack)
        if message is None:
            return None
        if not auto_ack:
            self._tags.append(message.tag)
        return seen(message)

    def _consume(self, queue: str, prefetch: int, auto_ack: bool) -> None:
        self._channel.basic_qos(prefetch_count=prefetch)
        name = f"consumer {next(self._names)}"

        def keep(_: Any, method: Any, properties: pika.BasicProperties, body: bytes) -> None:
            message = Message(
                body, properties, method.exchange, method.routing_key, method.redelivered, method.delivery_tag
            )
            self.delivered.append((name, seen(message)))
            if not auto_ack:
                self._tags.append(method.delivery_tag)

        self._channel.basic_consume(queue, keep, auto_ack, consumer_tag=name)
        self._consumers.append(name)

    def _cancel(self, which: int) -> None:
        if self._consumers:
            self._channel.basic_cancel(self._consumers.pop(which % len(self._consumers)))

    def events(self) -> list[Any]:
        """All that consumers were given so far."""
        self._connection.process_data_events(0)
        return self.delivered

    def _settle(self, verdict: str, which: int, multiple: bool) -> None:
        if not self._tags:
            return
        tag = self._tags[which % len(self._tags)]
        self._tags = [one for one in self._tags if one > tag or (one != tag and not multiple)]
        if verdict == "ack":
            self._channel.basic_ack(tag, multiple)
        else:
            self._channel.basic_nack(tag, multiple, requeue=verdict == "requeue")
        self._channel.basic_qos()  # answered after it is settled

    def _reopen(self) -> None:
        self._channel.close()
        self._open()


def seen(message: Message) -> Any:
    """What must be the same of a message on both brokers."""
    told = {name: value for name, value in message.headers.items() if name != "x-death"}
    deaths = [{k: v for k, v in death.items() if k != "time"} for death in message.headers.get("x-death", [])]
    where = (message.exchange, message.routing_key, message.redelivered)
    return message.body, where, sorted(told.items(), key=str), deaths, message.properties.priority


@pytest.fixture
def both(rabbitmq: RabbitNode, embedded: EmbeddedNode) -> tuple[RabbitNode, EmbeddedNode]:
    """The model and ours."""
    return rabbitmq, embedded


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=5, max_size=30))
@example(steps=[("declare", "one", {}, True), ("publish", "", "one", None, None, True), ("get", "one", False),
                ("settle", "requeue", 0, False), ("get", "one", True)])  # fmt: skip
def test_both_brokers_answer_alike(both: tuple[RabbitNode, EmbeddedNode], steps: list[Step]) -> None:
    for broker in both:
        broker.reset()
    theirs, ours = (Client(broker) for broker in both)
    try:
        for name in QUEUES:
            start: Step = ("declare", name, {}, False)
            assert ours.run(start) == theirs.run(start)
        for step in steps:
            expected = theirs.run(step)
            note(f"{step} → {expected}")
            assert ours.run(step) == expected, step
            assert ours.exists == theirs.exists
            wait_until(lambda: ours.events() == theirs.events(), 5, f"the same deliveries after {step}")
            for name in theirs.exists:  # dead letters and requeues of a closed channel take RabbitMQ a moment
                wait_until(
                    lambda name=name: ours.ready(name) == theirs.ready(name),  # type: ignore[misc]
                    5,
                    f"{name} having as many messages on both after {step}",
                )
    finally:
        theirs.close()
        ours.close()

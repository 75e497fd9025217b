"""A random script runs step by step on RabbitMQ and on the embedded broker; every answer must be the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

import pika
import pytest
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
    {"x-max-length": 2, "x-overflow": "reject-publish"},
    {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "two"},
    {"x-dead-letter-exchange": "x"},
    {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "one", "x-max-length": 2,
     "x-overflow": "reject-publish-dlx"},
    {"x-max-length": 2},
    {"x-max-length": 0},
    {"x-max-length-bytes": 3},
    {"x-dead-letter-exchange": "x", "x-max-length": 1},
    {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "two", "x-max-length-bytes": 4, "x-max-length": 3},
    {"x-max-length-bytes": 2, "x-overflow": "reject-publish"},
    {"x-queue-mode": "lazy"},
    {"x-single-active-consumer": True},
    {"x-message-ttl": "soon"},
)  # fmt: skip
# RabbitMQ checks for expired messages only at some moments, and not when one of a higher priority arrives: a script
# has either priorities or times to live.
PRIORITIES: tuple[dict[str, Any], ...] = (
    {"x-max-priority": 3},
    {"x-max-priority": 2, "x-max-length": 2},
    {"x-max-priority": 3, "x-dead-letter-exchange": "x", "x-max-length": 3},
)
TIMES_TO_LIVE: tuple[dict[str, Any], ...] = (
    {"x-message-ttl": 0},
    {"x-message-ttl": 60000, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "one"},
    {"x-message-ttl": 0, "x-dead-letter-exchange": "x", "x-max-length": 1},
)

KEYS = ("", "one", "two", "a", "a.b", "a.b.c", "*", "#")
HEADERS: tuple[dict[str, Any] | None, ...] = (
    None,
    None,
    {},
    {"k": 1},
    {"k": "1", "j": 2},
    {"CC": ["two"]},
    {"CC": ["one"], "BCC": ["two"]},
)
# weights of the kinds of steps
WEIGHTS = {
    "send": 30, "publish": 12, "get": 15, "settle": 20, "consume": 5, "cancel": 3, "declare": 2, "delete": 2,
    "purge": 1, "declare exchange": 2, "delete exchange": 1, "bind": 5, "unbind": 2, "recover": 1, "reopen": 1,
}  # fmt: skip


def script(seed: int, length: int) -> Iterator[Step]:
    """Return random steps, the same for the same seed."""
    dice = random.Random(seed)
    queues = ARGUMENTS + (PRIORITIES, TIMES_TO_LIVE)[seed % 2]
    priorities = ((None, 1, 2, 9), (None,))[seed % 2]
    expirations = ((None,), (None, None, None, "0", "60000"))[seed % 2]

    def flip() -> bool:
        return dice.random() < 0.5

    def properties() -> dict[str, Any]:
        return {
            "headers": dice.choice(HEADERS),
            "priority": dice.choice(priorities),
            "expiration": dice.choice(expirations),
        }

    steps: dict[str, Callable[[], tuple[Any, ...]]] = {
        "send": lambda: ("", dice.choice(QUEUES), properties(), flip()),
        "publish": lambda: (_exchange(dice), dice.choice(KEYS), properties(), flip()),
        "get": lambda: (dice.choice(QUEUES), dice.random() < 0.3),
        "settle": lambda: (dice.choice(("ack", "nack", "requeue")), dice.randrange(8), dice.random() < 0.3),
        "consume": lambda: (dice.choice(QUEUES), dice.choice((1, 2, 3, 0)), dice.random() < 0.3),
        "cancel": lambda: (dice.randrange(4),),
        "declare": lambda: (dice.choice(QUEUES), dice.choice(queues), flip()),
        "delete": lambda: (dice.choice(QUEUES), flip(), flip()),
        "purge": lambda: (dice.choice(QUEUES),),
        "declare exchange": lambda: (dice.choice(("direct", "fanout", "topic", "headers")), flip()),
        "delete exchange": lambda: (flip(),),
        "bind": lambda: (dice.choice(QUEUES), _exchange(dice), dice.choice(KEYS), dice.choice(HEADERS[:5])),
        "unbind": lambda: (dice.choice(QUEUES), _exchange(dice), dice.choice(KEYS)),
        "recover": lambda: (),
        "reopen": lambda: (),
    }
    for name in QUEUES:
        yield "declare", name, dice.choice(queues), False
    yield "declare exchange", dice.choice(("direct", "fanout", "topic", "headers")), False
    for name in dice.choices(list(WEIGHTS), list(WEIGHTS.values()), k=length):
        yield name, *steps[name]()


def _exchange(dice: random.Random) -> str:
    return dice.choices(["x", "amq.fanout", "amq.topic", "amq.headers", "", "missing"], [40, 10, 20, 10, 3, 1])[0]


class Client:
    """Runs steps on one broker and returns their results."""

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
        """Run a step. Return its answer or its error."""
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
            "send": self._publish,
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
        """Return the number of ready messages."""
        return int(self._observer.queue_declare(queue, passive=True).method.message_count)

    def _declare(self, queue: str, arguments: dict[str, Any], durable: bool) -> Any:
        method = self._channel.queue_declare(queue, durable=durable, arguments=arguments).method
        self.exists.add(queue)
        return method.queue, method.message_count, method.consumer_count

    def _delete(self, queue: str, if_unused: bool, if_empty: bool) -> Any:
        method = self._channel.queue_delete(queue, if_unused=if_unused, if_empty=if_empty).method
        self.exists.discard(queue)
        return method.message_count

    def _publish(self, exchange: str, key: str, properties: dict[str, Any], mandatory: bool) -> None:
        self._published += 1
        body = str(self._published)
        self._channel.basic_publish(exchange, key, body, pika.BasicProperties(**properties), mandatory)

    def _get(self, queue: str, auto_ack: bool) -> Any:
        message = get(self._channel, queue, auto_ack)
        if message is None:
            return None
        if not auto_ack:
            self._tags.append(message.tag)
        return seen(message)

    def _consume(self, queue: str, prefetch: int, auto_ack: bool) -> None:
        if self._consumers:
            return  # RabbitMQ does not define the order among several consumers
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
        """Return all messages delivered to consumers so far."""
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
    """Return the parts of a message that must be the same on both brokers."""
    told = {name: value for name, value in message.headers.items() if name != "x-death"}
    deaths = [sorted(death.items()) for death in message.headers.get("x-death", [])]
    deaths = [[(name, str(value)) for name, value in death if name != "time"] for death in deaths]
    where = (message.exchange, message.routing_key, message.redelivered)
    return message.body, where, sorted(told.items(), key=str), deaths, message.properties.priority


@pytest.fixture
def both(rabbitmq: RabbitNode, embedded: EmbeddedNode) -> tuple[RabbitNode, EmbeddedNode]:
    """Connect to RabbitMQ and to the embedded broker."""
    return rabbitmq, embedded


@pytest.mark.parametrize("seed", range(10))
def test_both_brokers_give_the_same_answers(both: tuple[RabbitNode, EmbeddedNode], seed: int) -> None:
    theirs, ours = (Client(broker) for broker in both)
    try:
        for number, step in enumerate(script(seed, 150)):
            expected = theirs.run(step)
            assert ours.run(step) == expected, f"seed {seed}, step {number}: {step}"
            assert ours.exists == theirs.exists
            after = f"after step {number} of seed {seed}, {step}"
            wait_until(partial(_differ_nowhere, ours, theirs), 20, f"the same deliveries {after}")
            for name in theirs.exists:  # RabbitMQ needs a moment for dead letters and requeues of a closed channel
                wait_until(partial(_have_as_many, ours, theirs, name), 20, f"{name} having as many messages {after}")
    finally:
        theirs.close()
        ours.close()


def _differ_nowhere(ours: Client, theirs: Client) -> bool:
    return ours.events() == theirs.events()


def _have_as_many(ours: Client, theirs: Client, queue: str) -> bool:
    return ours.ready(queue) == theirs.ready(queue)

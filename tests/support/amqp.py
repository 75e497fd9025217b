"""Short functions for repeated steps of AMQP tests with pika's blocking client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker, ConnectionClosedByBroker

from tests.support.processes import wait_until


@dataclass(frozen=True)
class Message:
    """A message as received by a client."""

    body: bytes
    properties: pika.BasicProperties
    exchange: str
    routing_key: str
    redelivered: bool
    tag: int

    @property
    def headers(self) -> dict[str, Any]:
        return dict(self.properties.headers or {})


class Refused:
    """How a broker closed a channel or connection; set at the end of the `with` block."""

    code = 0
    text = ""
    connection_closed = False


@contextmanager
def refused(code: int) -> Iterator[Refused]:
    """Assert that the broker closes the channel or the connection during the block with this reply code (AMQP 0-9-1
    §1.2).
    """
    seen = Refused()
    with pytest.raises((ChannelClosedByBroker, ConnectionClosedByBroker)) as caught:
        yield seen
    seen.code, seen.text = caught.value.reply_code, caught.value.reply_text
    seen.connection_closed = isinstance(caught.value, ConnectionClosedByBroker)
    assert seen.code == code, f"closed with {seen.code} {seen.text!r} instead of {code}"


def publish(channel: BlockingChannel, queue: str, *bodies: str | bytes, **properties: Any) -> None:
    """Publish to a queue by the default exchange."""
    for body in bodies:
        channel.basic_publish("", queue, body, pika.BasicProperties(**properties))


def get(channel: BlockingChannel, queue: str, auto_ack: bool = True) -> Message | None:
    """Get one message from a queue, None if it is empty."""
    method, properties, body = channel.basic_get(queue, auto_ack=auto_ack)
    if method is None:
        return None
    return Message(body, properties, method.exchange, method.routing_key, bool(method.redelivered), method.delivery_tag)


def publish_confirmed(channel: BlockingChannel, queue: str, *bodies: str | bytes, **properties: Any) -> None:
    """Publish to a queue and wait until the broker has confirmed all."""
    channel.confirm_delivery()
    publish(channel, queue, *bodies, **properties)


def take(channel: BlockingChannel, queue: str, count: int, auto_ack: bool = True, timeout: float = 20) -> list[Message]:
    """Take `count` messages from a queue, and wait for it and for them."""
    taken: list[Message] = []
    wait_for(channel, queue, timeout)

    def all_taken() -> bool:
        while len(taken) < count and (message := get(channel, queue, auto_ack)):
            taken.append(message)
        return len(taken) == count

    wait_until(all_taken, timeout, f"{count} messages in {queue}")
    return taken


def bodies(messages: list[Message]) -> list[str]:
    """Return their bodies as text."""
    return [message.body.decode() for message in messages]


def wait_for(channel: BlockingChannel, queue: str, timeout: float = 20) -> None:
    """Wait until a queue exists. Using a missing queue would close the channel."""

    def exists() -> bool:
        with channel.connection.channel() as other:
            try:
                other.queue_declare(queue, passive=True)
            except ChannelClosedByBroker:
                return False
            return True

    wait_until(exists, timeout, f"the queue {queue}")


def ready(channel: BlockingChannel, queue: str) -> int:
    """Return the number of ready messages in a queue."""
    return int(channel.queue_declare(queue, passive=True).method.message_count)


def declare_until_consumed(channel: BlockingChannel, queue: str, arguments: dict[str, Any]) -> None:
    """Declare a durable queue until it has a consumer. Each declaration begins the time of x-expires anew."""
    wait_until(lambda: channel.queue_declare(queue, durable=True, arguments=arguments).method.consumer_count)


def wait_ready(channel: BlockingChannel, queue: str, count: int, timeout: float = 20) -> None:
    """Wait until a queue has `count` ready messages."""
    wait_for(channel, queue, timeout)
    wait_until(lambda: ready(channel, queue) == count, timeout, f"{count} messages ready in {queue}")


class Subscription:
    """A consumer that stores its deliveries unsettled, and whether the broker cancelled it."""

    def __init__(self, channel: BlockingChannel, queue: str, **options: Any) -> None:
        self.messages: list[Message] = []
        self._channel = channel
        self.tag = channel.basic_consume(queue, self._keep, **options)

    def _keep(self, _: Any, method: Any, properties: pika.BasicProperties, body: bytes) -> None:
        self.messages.append(
            Message(body, properties, method.exchange, method.routing_key, method.redelivered, method.delivery_tag)
        )

    def wait(self, count: int, timeout: float = 20) -> list[Message]:
        """Wait until `count` messages were delivered in all."""
        self.until(lambda: len(self.messages) >= count, timeout, f"{count} deliveries")
        return self.messages

    def until(self, condition: Callable[[], Any], timeout: float = 20, message: str = "") -> Any:
        """Process the connection's events until a condition holds."""

        def processed() -> Any:
            self._channel.connection.process_data_events(0)
            return condition()

        return wait_until(processed, timeout, message)

    def nothing_more(self, count: int) -> list[Message]:
        """Return the deliveries after the broker has answered a later request: exactly `count` messages."""
        for _ in range(3):  # deliveries may be queued behind the answer, so ask more than once
            self._channel.exchange_declare("amq.direct", passive=True)
            self._channel.connection.process_data_events(0.05)
        assert len(self.messages) == count, bodies(self.messages)
        return self.messages

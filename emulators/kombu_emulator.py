"""Kombu's way of messaging, inside the process: the classes to import, and those that publish and consume.

with Connection() as connection:
    channel = connection.channel()
    queue = channel.queue_declare("greetings")
    Consumer(channel, [queue], [lambda message: (print(message.body), message.ack())]).consume()
    Producer(channel, routing_key="greetings").publish({"hello": "world"})

The rules are RabbitMQ's, as broker.core has them; `arguments` are its x-arguments (dead letters, times to live,
priorities, lengths). Any number of threads may use all of it. What cannot be is an EmulatorError.
"""

from collections.abc import Sequence
from queue import Empty
from typing import Any

from emulators.channel import Callback, Channel, Connection
from emulators.entities import Exchange, Queue, name_of
from emulators.in_process import EmulatorError
from emulators.message import Message

__all__ = ["Channel", "Connection", "Consumer", "Empty", "EmulatorError", "Exchange", "Message", "Producer", "Queue"]


class Producer:
    """Publishes to an exchange, or, without one, to the queue that the routing key names."""

    def __init__(self, channel: Channel, exchange: Exchange | str | None = None, routing_key: str = "",
                 serializer: str = "json") -> None:  # fmt: skip
        """Raises EmulatorError for another serializer: bytes go as they are, and everything else as JSON."""
        if serializer != "json":
            raise EmulatorError(f"There is no serializer {serializer!r}: use json; bytes go as they are.")
        self.channel, self.exchange, self.routing_key, self.serializer = channel, exchange, routing_key, serializer
        name_of(exchange, channel)

    def publish(self, body: Any, routing_key: str | None = None, exchange: Exchange | str | None = None,
                headers: dict[str, Any] | None = None, expiration: float | None = None,
                **properties: Any) -> None:  # fmt: skip
        """See Channel.basic_publish. `expiration` is in seconds; `properties` are the message's, as `priority`."""
        if expiration is not None:
            properties["expiration"] = int(expiration * 1000)
        content_type, encoding = properties.pop("content_type", ""), properties.pop("content_encoding", "")
        message = Message(body, content_type, encoding, headers, properties)
        self.channel.basic_publish(message, name_of(exchange or self.exchange, self.channel),
                                   self.routing_key if routing_key is None else routing_key)  # fmt: skip


class Consumer:
    """Calls its callbacks, one after another, with each message of its queues; a background thread for each queue."""

    def __init__(self, channel: Channel, queues: Sequence[Queue] = (), callbacks: Sequence[Callback] = (),
                 no_ack: bool = False) -> None:  # fmt: skip
        self.channel, self.queues, self.callbacks, self.no_ack = channel, list(queues), list(callbacks), no_ack
        self._consuming: set[str] = set()

    def register_callback(self, callback: Callback) -> None:
        """Add a callback."""
        self.callbacks.append(callback)

    def consume(self, no_ack: bool | None = None) -> None:
        """Begin with the queues that it does not consume yet. Raises EmulatorError when it has no callback."""
        if not self.callbacks:
            raise EmulatorError("A consumer needs a callback: give it one, or call register_callback before consume.")
        for queue in self.queues:
            queue.on(self.channel)
            if queue.name not in self._consuming:
                self.channel.basic_consume(queue.name, self._call_back, self.no_ack if no_ack is None else no_ack)
                self._consuming.add(queue.name)

    def _call_back(self, message: Message) -> None:
        for callback in self.callbacks:
            callback(message)

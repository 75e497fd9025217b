"""kombu's API inside the process: the classes to import, and producers and consumers.

with Connection() as connection:
    channel = connection.channel()
    queue = channel.queue_declare("greetings")
    Consumer(channel, [queue], [lambda message: (print(message.body), message.ack())]).consume()
    Producer(channel, routing_key="greetings").publish({"hello": "world"})

The semantics are RabbitMQ's, from broker.core; `arguments` are its x-arguments (dead letters, times to live,
priorities, lengths). Everything is thread-safe. Errors are EmulatorErrors.
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
    """Publishes to an exchange or, without one, to the queue named by the routing key."""

    def __init__(self, channel: Channel, exchange: Exchange | str | None = None, routing_key: str = "",
                 serializer: str = "json") -> None:  # fmt: skip
        """Raise EmulatorError for another serializer. Bytes are sent unchanged, everything else as JSON."""
        if serializer != "json":
            raise EmulatorError(f"Unknown serializer {serializer!r}. Allowed: json (bytes are sent unchanged).")
        self.channel, self.exchange, self.routing_key, self.serializer = channel, exchange, routing_key, serializer
        name_of(exchange, channel)

    def publish(self, body: Any, routing_key: str | None = None, exchange: Exchange | str | None = None,
                headers: dict[str, Any] | None = None, expiration: float | None = None,
                **properties: Any) -> None:  # fmt: skip
        """Publish a message, see Channel.basic_publish. `expiration` is in seconds; `properties` are the message's,
        such as `priority`.
        """
        if expiration is not None:
            properties["expiration"] = int(expiration * 1000)
        content_type, encoding = properties.pop("content_type", ""), properties.pop("content_encoding", "")
        message = Message(body, content_type, encoding, headers, properties)
        self.channel.basic_publish(message, name_of(exchange or self.exchange, self.channel),
                                   self.routing_key if routing_key is None else routing_key)  # fmt: skip


class Consumer:
    """Calls its callbacks in order with each message of its queues; each queue has a background thread."""

    def __init__(self, channel: Channel, queues: Sequence[Queue] = (), callbacks: Sequence[Callback] = (),
                 no_ack: bool = False) -> None:  # fmt: skip
        self.channel, self.queues, self.callbacks, self.no_ack = channel, list(queues), list(callbacks), no_ack
        self._consuming: set[str] = set()

    def register_callback(self, callback: Callback) -> None:
        """Add a callback."""
        self.callbacks.append(callback)

    def consume(self, no_ack: bool | None = None) -> None:
        """Start consuming the queues that it does not consume yet. Raises EmulatorError without a callback."""
        if not self.callbacks:
            raise EmulatorError("The consumer has no callback. Call register_callback before consume.")
        for queue in self.queues:
            queue.on(self.channel)
            if queue.name not in self._consuming:
                self.channel.basic_consume(queue.name, self._call_back, self.no_ack if no_ack is None else no_ack)
                self._consuming.add(queue.name)

    def _call_back(self, message: Message) -> None:
        for callback in self.callbacks:
            callback(message)

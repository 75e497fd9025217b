"""Exchange and queue objects, declared at their creation with a channel, or at their first use."""

from __future__ import annotations

from queue import Empty
from typing import TYPE_CHECKING, Any

from broker.core.exchanges import TYPES
from broker.core.message import Message as CoreMessage
from emulators.in_process import EmulatorError
from emulators.message import Message

if TYPE_CHECKING:
    from emulators.channel import Channel

Arguments = dict[str, Any] | None


class Entity:
    """An exchange or queue, declared at most once."""

    channel: Channel | None = None

    def on(self, channel: Channel | None = None) -> Channel:
        """Declare the entity on `channel`, unless it is declared, and return its channel. The default is a channel of
        Connection().
        """
        if self.channel is None:
            if channel is None:
                from emulators.channel import Connection

                channel = Connection().channel()
            self._declare(channel)
            self.channel = channel
        return self.channel

    def _declare(self, channel: Channel) -> None:
        raise NotImplementedError


class Exchange(Entity):
    """An exchange; `type` is direct, fanout, headers or topic."""

    def __init__(self, name: str, type: str = "direct", durable: bool = True, auto_delete: bool = False,  # noqa: A002
                 channel: Channel | None = None, arguments: Arguments = None) -> None:  # fmt: skip
        """Raise EmulatorError for another type."""
        if type not in TYPES:
            raise EmulatorError(f"Unknown exchange type {type!r}. Allowed: {', '.join(sorted(TYPES))}.")
        self.name, self.type = name, type
        self.durable, self.auto_delete, self.arguments = durable, auto_delete, arguments
        if channel is not None:
            self.on(channel)

    def _declare(self, channel: Channel) -> None:
        rest: dict[str, Any] = {"durable": self.durable, "auto_delete": self.auto_delete, "arguments": self.arguments}
        channel.do(lambda _: channel.vhost.declare_exchange(self.name, self.type, **rest), safely=True)

    def bind_to(self, queue_name: str, routing_key: str = "", arguments: Arguments = None) -> None:
        """Bind a queue to the exchange; create the queue if it does not exist."""
        channel = self.on()
        if queue_name not in channel.vhost.queues:
            channel.queue_declare(queue_name)
        channel.queue_bind(queue_name, self.name, routing_key, arguments)

    def get_bound_queues(self, routing_key: str = "") -> list[str]:
        """Return the sorted names of the queues that a message with that key and no headers reaches."""
        probe, channel = CoreMessage.create(self.name, routing_key, b""), self.on()
        bound = channel.do(lambda _: channel.vhost.route(probe, channel.vhost.exchange(self.name)))
        return sorted(queue.name for queue in bound)


class Queue(Entity):
    """A queue, with an optional binding to `exchange`."""

    def __init__(self, name: str = "", exchange: Exchange | str | None = None, routing_key: str = "",
                 durable: bool = True, exclusive: bool = False, auto_delete: bool = False,
                 channel: Channel | None = None, arguments: Arguments = None) -> None:  # fmt: skip
        self.name, self.exchange, self.routing_key = name, exchange, routing_key
        self.durable, self.exclusive, self.auto_delete, self.arguments = durable, exclusive, auto_delete, arguments
        if channel is not None:
            self.on(channel)

    def _declare(self, channel: Channel) -> None:
        rest: dict[str, Any] = {"durable": self.durable, "auto_delete": self.auto_delete, "arguments": self.arguments}
        owner = channel.core.owner if self.exclusive else None
        made = channel.do(lambda now: channel.vhost.declare_queue(self.name, now, owner=owner, **rest), safely=True)
        self.name = made.name
        if self.exchange:
            channel.queue_bind(self.name, name_of(self.exchange, channel), self.routing_key)

    def put(self, message: Message) -> None:
        """Add a message."""
        self.on().basic_publish(message, "", self.name)

    def get(self, block: bool = True, timeout: float | None = None) -> Message:
        """Return the first message, to be settled. Raises queue.Empty after `timeout` seconds (None: no limit), or at
        once without `block`.
        """
        message = self.on().basic_get(self.name, timeout=timeout if block else 0)
        if message is None:
            raise Empty
        return message

    def qsize(self) -> int:
        """Return the number of ready messages."""
        return self.on().do(lambda _: self.on().vhost.queue(self.name).ready_count)

    def empty(self) -> bool:
        return not self.qsize()


def name_of(exchange: Exchange | str | None, channel: Channel) -> str:
    """Return the name of an exchange and declare it on `channel` if necessary; "" is the default exchange."""
    if isinstance(exchange, Exchange):
        exchange.on(channel)
        return exchange.name
    return exchange or ""

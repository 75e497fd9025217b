"""A broker without sockets or disk, with a clock that tests advance, and clients that record notifications."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from broker.core.broker import Broker
from broker.core.channel import Channel
from broker.core.journal import Journal
from broker.core.message import Entry, Message
from broker.core.queue import Queue
from broker.errors import AmqpError


@dataclass
class Recorder:
    """A sink: `deliveries` are (consumer tag, delivery tag, entry), `confirms` are (tag, multiple, taken)."""

    writable: bool = True
    deliveries: list[tuple[str, int, Entry]] = field(default_factory=list)
    returns: list[tuple[Message, AmqpError]] = field(default_factory=list)
    confirms: list[tuple[int, bool, bool]] = field(default_factory=list)
    cancels: list[str] = field(default_factory=list)
    due: bool = False

    def deliver(self, consumer_tag: str, delivery_tag: int, entry: Entry) -> None:
        self.deliveries.append((consumer_tag, delivery_tag, entry))

    def returned(self, message: Message, error: AmqpError) -> None:
        self.returns.append((message, error))

    def confirmed(self, delivery_tag: int, multiple: bool, taken: bool) -> None:
        self.confirms.append((delivery_tag, multiple, taken))

    def confirms_due(self) -> None:
        self.due = True

    def cancelled(self, consumer_tag: str) -> None:
        self.cancels.append(consumer_tag)

    def bodies(self) -> list[str]:
        """Return the delivered bodies, in order."""
        return [(entry.message.body or b"").decode() for _, _, entry in self.deliveries]


class Client:
    """One channel, its recorder, and short methods for tests."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sink = Recorder()
        self.channel = Channel(world.vhost, world.broker.users["guest"], self, self.sink)

    def publish(self, key: str, *bodies: str, exchange: str = "", mandatory: bool = False, **properties: Any) -> None:
        for body in bodies:
            message = Message.create(exchange, key, body.encode(), properties)
            self.channel.publish(message, mandatory, self.world.now)

    def consume(self, queue: str, tag: str = "c", **options: Any) -> None:
        consumer = self.channel.consume(self.world.vhost.queue(queue), tag, now=self.world.now, **options)
        self.channel.start(consumer, self.world.now)

    def get(self, queue: str, no_ack: bool = False) -> Entry | None:
        got = self.channel.get(self.world.vhost.queue(queue), no_ack, self.world.now)
        return got[1] if got else None

    def drain(self, queue: str) -> list[str]:
        """Get all ready messages without acks."""
        found = []
        while (entry := self.get(queue, no_ack=True)) is not None:
            found.append((entry.message.body or b"").decode())
        return found

    def ack(self, tag: int, multiple: bool = False) -> None:
        self.channel.ack(tag, multiple, self.world.now)

    def nack(self, tag: int, *, requeue: bool, multiple: bool = False) -> None:
        self.channel.nack(tag, multiple, requeue, self.world.now)

    def close(self) -> None:
        self.channel.close(self.world.now)


class World:
    """A broker with the vhost "/", the user guest, and `now` in seconds."""

    def __init__(self, journal: Journal | None = None) -> None:
        self.broker = Broker(journal)
        self.vhost = self.broker.add_vhost("/")
        self.broker.add_user("guest", "guest")
        self.broker.permit("guest", "/")
        self.now = 1_000_000.0

    def client(self) -> Client:
        return Client(self)

    def queue(self, name: str, **options: Any) -> Queue:
        """Declare a queue; `x_max_length=1` becomes the argument x-max-length."""
        arguments = {key.replace("_", "-"): value for key, value in options.items() if key.startswith("x_")}
        rest = {key: value for key, value in options.items() if not key.startswith("x_")}
        return self.vhost.declare_queue(name, self.now, arguments=arguments, **rest)

    def wait(self, seconds: float) -> None:
        """Advance the clock and run what is due, as the server does."""
        until = self.now + seconds
        while (moment := self.broker.next_deadline()) is not None and moment <= until:
            self.now = max(self.now, moment)
            self.broker.tick(self.now)
        self.now = until

"""A subscription of a channel to a queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amqp_wire.values import Table
from broker.core.message import Entry

if TYPE_CHECKING:
    from broker.core.channel import Channel
    from broker.core.queue import Queue


class Consumer:
    """A subscription. `prefetch` is in messages, 0 for no limit; a larger `priority` comes first; `unacked` is in
    messages; `last_tag` is the delivery tag of its last delivery.
    """

    __slots__ = ("arguments", "channel", "exclusive", "last_tag", "no_ack", "prefetch", "priority", "queue", "tag",
                 "unacked", "waiting")  # fmt: skip

    def __init__(self, channel: Channel, queue: Queue, tag: str, *, no_ack: bool = False, exclusive: bool = False,
                 prefetch: int = 0, priority: int = 0, arguments: Table | None = None) -> None:  # fmt: skip
        self.channel = channel
        self.queue = queue
        self.tag = tag
        self.no_ack = no_ack
        self.exclusive = exclusive
        self.prefetch = prefetch
        self.priority = priority
        self.arguments = arguments or {}
        self.unacked = 0
        self.last_tag = 0
        self.waiting = False

    @property
    def active(self) -> bool:
        """Return whether the queue serves it: with a single active consumer, only one is."""
        return self.queue.rotation.is_active(self)

    def can_take(self) -> bool:
        """Return whether prefetch and channel allow another message."""
        if not self.no_ack and self.prefetch and self.unacked >= self.prefetch:
            return False
        return self.channel.can_take(self)

    def take(self, entry: Entry) -> None:
        self.channel.deliver(self, entry)

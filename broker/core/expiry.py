"""When messages of a queue expire (RabbitMQ docs: ttl § message TTL)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.core.message import Message

if TYPE_CHECKING:
    from broker.core.queue import Queue

# How many messages expire before other work gets a turn, and after how many seconds the next ones do.
AT_ONCE = 500
BREATHER = 0.001


class Expiry:
    """Keeps one queue's times, in epoch seconds. `active` once a message with a time to live has come."""

    def __init__(self, queue: Queue) -> None:
        self.active = False
        self._queue = queue
        self._wakes_at: float | None = None

    def of(self, message: Message, now: float) -> float | None:
        """When the message expires: the sooner of the queue's and its own time to live; None for never."""
        ttl = self._queue.rules.message_ttl
        own = message.essentials.expiration
        if own is not None and (ttl is None or int(own) / 1000 < ttl):
            ttl = int(own) / 1000
        if ttl is None:
            return None
        self.active = True
        return now + ttl

    def check(self, now: float) -> None:
        """Drop what has expired at the head, and see to what follows (RabbitMQ docs: ttl § caveats; priority §
        interaction with other features): messages behind one that has not expired wait.
        """
        if self._queue.drop_expired(AT_ONCE, now):
            self._wake_at(now + BREATHER)
        else:
            self.watch(now)

    def watch(self, now: float) -> None:
        """See to it that the head goes when it expires."""
        head = self._queue.ready.head()
        if head is not None and head.expires_at is not None:
            self._wake_at(max(head.expires_at, now))

    def _wake_at(self, moment: float) -> None:
        if self._wakes_at is None or moment < self._wakes_at:
            self._wakes_at = moment
            self._queue.vhost.deadlines.add(moment, self._wake)

    def _wake(self, now: float) -> None:
        self._wakes_at = None
        if not self._queue.deleted:
            self.check(now)
            self._queue.vhost.dead_letters.deliver(now)

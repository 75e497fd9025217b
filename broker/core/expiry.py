"""Expiry of a queue's messages (RabbitMQ docs: ttl § message TTL)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.core.message import Message

if TYPE_CHECKING:
    from broker.core.queue import Queue

# Messages that expire in one turn of the event loop, and seconds until the next turn.
EXPIRY_BATCH = 500
BATCH_PAUSE = 0.001


class MessageExpiry:
    """The expiry of one queue's messages, in epoch seconds. `active` once a message with a TTL has arrived."""

    def __init__(self, queue: Queue) -> None:
        self.active = False
        self._queue = queue
        self._wakes_at: float | None = None

    def expires_at(self, message: Message, now: float) -> float | None:
        """Return when the message expires: the earlier of the queue's and its own TTL; None for never."""
        ttl = self._queue.rules.message_ttl
        own = message.essentials.expiration
        if own is not None and (ttl is None or int(own) / 1000 < ttl):
            ttl = int(own) / 1000
        if ttl is None:
            return None
        self.active = True
        return now + ttl

    def check(self, now: float) -> None:
        """Drop expired messages at the head and schedule the next check. Messages behind one that has not expired wait
        (RabbitMQ docs: ttl § caveats; priority § interaction with other features).
        """
        if self._queue.drop_expired(EXPIRY_BATCH, now):
            self._wake_at(now + BATCH_PAUSE)
        else:
            self.watch(now)

    def watch(self, now: float) -> None:
        """Schedule a check for the head's expiry."""
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
            self._queue.vhost.dead_letters.publish_pending(now)

"""Expiry of unused queues (RabbitMQ docs: ttl § queue TTL)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.core.expiry import BATCH_PAUSE, EXPIRY_BATCH

if TYPE_CHECKING:
    from broker.core.queue import Queue


class Lease:
    """The `x-expires` of one queue. `used_at` is the time of its last use, in epoch seconds."""

    def __init__(self, queue: Queue, now: float) -> None:
        self.used_at = now
        self._queue = queue
        self._scheduled = False

    @property
    def held(self) -> bool:
        """Return whether a consumer or, if the queue type says so, an unacked message uses the queue."""
        queue = self._queue
        return bool(queue.consumers) or (queue.queue_type.unacked_hold and bool(queue.unacked))

    def on_redeclare(self, now: float) -> None:
        """Renew the lease if the queue type does so on a redeclaration."""
        if self._queue.queue_type.declaring_renews:
            self.used_at = now

    def on_release(self, now: float) -> None:
        """Restart the lease after a consumer or an unacked message has gone."""
        self.used_at = now
        if not self.held:
            self._schedule(now)

    def restart(self, now: float) -> None:
        """Apply a changed `x-expires`."""
        self._scheduled = False
        self.on_release(now)

    def _schedule(self, since: float) -> None:
        expires = self._queue.rules.expires
        if expires is not None and not self._scheduled:
            self._scheduled = True
            self._queue.vhost.deadlines.add(since + expires, self._expire)

    def _expire(self, now: float) -> None:
        self._scheduled = False
        queue, expires = self._queue, self._queue.rules.expires
        if queue.deleted or self.held or expires is None:
            return
        if now < self.used_at + expires:
            self._schedule(self.used_at)
            return
        # Expire messages first: after the machine was suspended, messages and queue are due together.
        more = queue.drop_expired(EXPIRY_BATCH, now)
        queue.vhost.dead_letters.publish_pending(now)
        if more:
            self._scheduled = True
            queue.vhost.deadlines.add(now + BATCH_PAUSE, self._expire)
        elif not queue.deleted:
            queue.vhost.delete_queue(queue.name, now)

"""When a queue that nothing uses expires (RabbitMQ docs: ttl § queue TTL)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.core.expiry import AT_ONCE, BREATHER

if TYPE_CHECKING:
    from broker.core.queue import Queue


class Lease:
    """The `x-expires` of one queue. `used_at` is when something used the queue last, in epoch seconds."""

    def __init__(self, queue: Queue, now: float) -> None:
        self.used_at = now
        self._queue = queue
        self._counting = False

    @property
    def held(self) -> bool:
        """Whether a consumer or, if the queue type says so, an unacked message uses the queue."""
        queue = self._queue
        return bool(queue.consumers) or (queue.queue_type.unacked_hold and bool(queue.unacked))

    def declared_again(self, now: float) -> None:
        """A client has declared the queue that is there."""
        if self._queue.queue_type.declaring_renews:
            self.used_at = now

    def released(self, now: float) -> None:
        """A consumer or an unacked message has gone."""
        self.used_at = now
        if not self.held:
            self._count(now)

    def restart(self, now: float) -> None:
        """`x-expires` has changed: begin anew."""
        self._counting = False
        self.released(now)

    def _count(self, since: float) -> None:
        expires = self._queue.rules.expires
        if expires is not None and not self._counting:
            self._counting = True
            self._queue.vhost.deadlines.add(since + expires, self._expire)

    def _expire(self, now: float) -> None:
        self._counting = False
        queue, expires = self._queue, self._queue.rules.expires
        if queue.deleted or self.held or expires is None:
            return
        if now < self.used_at + expires:
            self._count(self.used_at)
            return
        more = queue.drop_expired(AT_ONCE, now)  # messages go first: all is due when a machine has slept
        queue.vhost.dead_letters.deliver(now)
        if more:
            self._counting = True
            queue.vhost.deadlines.add(now + BREATHER, self._expire)
        elif not queue.deleted:
            queue.vhost.delete_queue(queue.name, now)

"""Keeps the bodies of waiting messages within a limit: what exceeds it goes to disk (RabbitMQ docs: lazy-queues).

Only bodies page out; a waiting message still costs a few hundred bytes of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.core.queue import Queue

# How many bytes of new bodies pass before the sum is taken again, as a share of the limit.
_STEP = 0.05
# Down to which share of the limit bodies are paged out, once it is passed.
_AIM = 0.7


class Pager:
    """`limit` is in bytes of bodies in memory. `on_pressure` hears whether `most` is passed all the same."""

    def __init__(self, queues: Callable[[], Iterable[Queue]], limit: int = 512 * 2**20) -> None:
        self.limit = limit
        self.on_pressure: Callable[[bool], None] | None = None
        self._queues = queues
        self._unchecked = 0
        self._pressed = False

    @property
    def most(self) -> int:
        """Bytes of bodies in memory above which publishers have to wait."""
        return 2 * self.limit

    def grown(self, size: int) -> None:
        """Bodies of `size` bytes together have come."""
        self._unchecked += size
        if self._unchecked > self.limit * _STEP:
            self.check()

    def resident(self) -> int:
        """Bytes of bodies in memory, each counted once for every queue it is in."""
        return sum(queue.resident_bytes for queue in self._queues())

    def check(self) -> None:
        """Page out what is over the limit, from the ends of the longest queues, and tell when that is not enough."""
        self._unchecked = 0
        resident = self.resident()
        if resident > self.limit:
            resident -= self._page_out(resident - int(self.limit * _AIM))
        pressed = resident > self.most or (self._pressed and resident > self.limit)
        if pressed != self._pressed:
            self._pressed = pressed
            if self.on_pressure is not None:
                self.on_pressure(pressed)

    def shrunk(self, size: int) -> None:
        """A body of `size` bytes has left: under pressure, that may end it."""
        if self._pressed:
            self.grown(size)

    def _page_out(self, excess: int) -> int:
        """Page out about `excess` bytes; what went at once. What the journal has yet to write goes at a later check."""
        gone = 0
        for queue in sorted(self._queues(), key=lambda queue: queue.resident_bytes, reverse=True):
            if gone >= excess:
                break
            gone += queue.page_out(excess - gone)
        return gone

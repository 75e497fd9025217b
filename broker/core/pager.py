"""Limits the memory of ready bodies: pages the excess out to disk (RabbitMQ docs: lazy-queues).

Only bodies page out; an entry still takes a few hundred bytes of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.core.queue import Queue

# Check after this share of the limit in new bodies.
_CHECK_SHARE = 0.05
# Page out down to this share of the limit.
_TARGET_SHARE = 0.7


class Pager:
    """The memory limit of all queues. `limit` is in bytes of bodies. `on_pressure` is called when they pass the high
    watermark, and when they are below `limit` again.
    """

    def __init__(self, queues: Callable[[], Iterable[Queue]], limit: int = 512 * 2**20) -> None:
        self.limit = limit
        self.on_pressure: Callable[[bool], None] | None = None
        self._queues = queues
        self._unchecked = 0
        self._under_pressure = False

    @property
    def high_watermark(self) -> int:
        """Bytes of bodies in memory above which publishers are blocked."""
        return 2 * self.limit

    def body_added(self, size: int) -> None:
        """Count `size` bytes of new bodies."""
        self._unchecked += size
        if self._unchecked > self.limit * _CHECK_SHARE:
            self.check()

    def resident(self) -> int:
        """Return the bytes of bodies in memory, each counted once for every queue it is in."""
        return sum(queue.resident_bytes for queue in self._queues())

    def check(self) -> None:
        """Page out the excess from the ends of the longest queues, and report memory pressure."""
        self._unchecked = 0
        resident = self.resident()
        if resident > self.limit:
            resident -= self._page_out(resident - int(self.limit * _TARGET_SHARE))
        under_pressure = resident > self.high_watermark or (self._under_pressure and resident > self.limit)
        if under_pressure != self._under_pressure:
            self._under_pressure = under_pressure
            if self.on_pressure is not None:
                self.on_pressure(under_pressure)

    def body_removed(self, size: int) -> None:
        """Count a removed body of `size` bytes, which may end memory pressure."""
        if self._under_pressure:
            self.body_added(size)

    def _page_out(self, excess: int) -> int:
        """Page out about `excess` bytes and return the bytes freed. Bodies that the journal has not written yet page
        out at a later check.
        """
        freed = 0
        for queue in sorted(self._queues(), key=lambda queue: queue.resident_bytes, reverse=True):
            if freed >= excess:
                break
            freed += queue.page_out(excess - freed)
        return freed

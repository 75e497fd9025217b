"""The ready messages of a queue, in order."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator

from broker.core.message import Entry


class _PriorityQueue:
    """One priority's entries by position. Returned entries keep their position."""

    __slots__ = ("fresh", "returned")

    def __init__(self) -> None:
        self.fresh: deque[Entry] = deque()
        self.returned: list[Entry] = []

    def __len__(self) -> int:
        return len(self.fresh) + len(self.returned)

    def head(self) -> Entry:
        if self.returned and (not self.fresh or self.returned[0] < self.fresh[0]):
            return self.returned[0]
        return self.fresh[0]

    def pop(self) -> Entry:
        if self.returned and (not self.fresh or self.returned[0] < self.fresh[0]):
            return heapq.heappop(self.returned)
        return self.fresh.popleft()


class Ready:
    """Ready entries: highest priority first, then by position (RabbitMQ docs: priority; semantics § ordering).

    `count` is in messages, `bytes` the sum of their bodies.
    """

    __slots__ = ("_by_priority", "bytes", "count")

    def __init__(self, max_priority: int = 0) -> None:
        self._by_priority = [_PriorityQueue() for _ in range(max_priority + 1)]
        self.count = 0
        self.bytes = 0

    def __len__(self) -> int:
        return self.count

    def push(self, entry: Entry) -> None:
        """Add a new entry at the end of its priority."""
        self._queue_of(entry).fresh.append(entry)
        self.count += 1
        self.bytes += entry.message.size

    def put_back(self, entry: Entry) -> None:
        """Return an entry to its position."""
        queue = self._queue_of(entry)
        if queue.fresh and entry < queue.fresh[0] and not queue.returned:
            queue.fresh.appendleft(entry)
        elif not queue.fresh or queue.fresh[-1] < entry:
            queue.fresh.append(entry)
        else:
            heapq.heappush(queue.returned, entry)
        self.count += 1
        self.bytes += entry.message.size

    def priority(self, entry: Entry) -> int:
        """Return the message's effective priority in this queue."""
        return min(entry.message.essentials.priority or 0, len(self._by_priority) - 1)

    def _queue_of(self, entry: Entry) -> _PriorityQueue:
        return self._by_priority[0] if len(self._by_priority) == 1 else self._by_priority[self.priority(entry)]

    def pop(self) -> Entry:
        """Remove and return the first entry. There must be one."""
        entry = next(queue for queue in reversed(self._by_priority) if len(queue)).pop()
        self.count -= 1
        self.bytes -= entry.message.size
        return entry

    def head(self) -> Entry | None:
        """Return the first entry, None if there is none."""
        return next((queue.head() for queue in reversed(self._by_priority) if len(queue)), None)

    def from_end(self) -> Iterator[Entry]:
        """Yield the entries from the end. Leave out returned ones: they are near the head."""
        for queue in self._by_priority:
            yield from reversed(queue.fresh)

    def drain(self) -> list[Entry]:
        """Remove and return all entries, in order."""
        entries = list(self)
        self._by_priority = [_PriorityQueue() for _ in self._by_priority]
        self.count = self.bytes = 0
        return entries

    def __iter__(self) -> Iterator[Entry]:
        for queue in reversed(self._by_priority):
            yield from heapq.merge(sorted(queue.returned), queue.fresh)

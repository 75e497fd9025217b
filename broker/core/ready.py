"""The messages of a queue that wait for a consumer, in order."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator

from broker.core.message import Entry


class _Lane:
    """One priority's entries by position. Returned ones find their old place again."""

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

    __slots__ = ("_lanes", "bytes", "count")

    def __init__(self, max_priority: int = 0) -> None:
        self._lanes = [_Lane() for _ in range(max_priority + 1)]
        self.count = 0
        self.bytes = 0

    def __len__(self) -> int:
        return self.count

    def push(self, entry: Entry) -> None:
        """Add a new entry at the end of its lane."""
        self._lane_of(entry).fresh.append(entry)
        self.count += 1
        self.bytes += entry.message.size

    def put_back(self, entry: Entry) -> None:
        """Return an entry to its position."""
        lane = self._lane_of(entry)
        if lane.fresh and entry < lane.fresh[0] and not lane.returned:
            lane.fresh.appendleft(entry)
        elif not lane.fresh or lane.fresh[-1] < entry:
            lane.fresh.append(entry)
        else:
            heapq.heappush(lane.returned, entry)
        self.count += 1
        self.bytes += entry.message.size

    def priority(self, entry: Entry) -> int:
        """What the message's priority means in this queue."""
        return min(entry.message.essentials.priority or 0, len(self._lanes) - 1)

    def _lane_of(self, entry: Entry) -> _Lane:
        return self._lanes[0] if len(self._lanes) == 1 else self._lanes[self.priority(entry)]

    def pop(self) -> Entry:
        """Take the first entry. There must be one."""
        entry = next(lane for lane in reversed(self._lanes) if len(lane)).pop()
        self.count -= 1
        self.bytes -= entry.message.size
        return entry

    def head(self) -> Entry | None:
        """The first entry, None where there is none."""
        return next((lane.head() for lane in reversed(self._lanes) if len(lane)), None)

    def from_the_end(self) -> Iterator[Entry]:
        """The entries that wait longest to go out, first. What was returned is near the head and left out."""
        for lane in self._lanes:
            yield from reversed(lane.fresh)

    def drain(self) -> list[Entry]:
        """Take everything, in order."""
        entries = list(self)
        self._lanes = [_Lane() for _ in self._lanes]
        self.count = self.bytes = 0
        return entries

    def __iter__(self) -> Iterator[Entry]:
        for lane in reversed(self._lanes):
            yield from heapq.merge(sorted(lane.returned), lane.fresh)

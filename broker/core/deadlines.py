"""A heap of deadlines, so that an idle broker needs no polling."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count


class Deadlines:
    """Callbacks by due time (epoch seconds). A callback checks for itself whether it is still needed."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = count()
        self.on_earlier: Callable[[float], None] | None = None

    def add(self, moment: float, run: Callable[[float], None]) -> None:
        """Call `run(now)` at `moment`, and `on_earlier` if this is the next deadline."""
        heapq.heappush(self._heap, (moment, next(self._order), run))
        if self.on_earlier is not None and self._heap[0][0] == moment:
            self.on_earlier(moment)

    def next(self) -> float | None:
        """Return the next deadline, in epoch seconds."""
        return self._heap[0][0] if self._heap else None

    def run_due(self, now: float) -> None:
        """Run all callbacks that are due by `now`, earliest first."""
        while self._heap and self._heap[0][0] <= now:
            heapq.heappop(self._heap)[2](now)

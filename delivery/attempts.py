"""Which attempts are worth a line in the log: failures, as many as the store bears, and a sample of the successes."""

from __future__ import annotations

from collections import deque

from domain.attempt import Attempt

_AT_ONCE = 500
"""Failures that wait to be taken; what comes on top is counted and dropped."""
SAMPLE = 0.01
"""Share of the successes that is kept."""


class AttemptBuffer:
    """Written by one thread, emptied by another."""

    def __init__(self) -> None:
        self._waiting: deque[Attempt] = deque()
        self.dropped = 0
        """attempts that were not kept, since the start"""

    def add(self, attempt: Attempt) -> None:
        if len(self._waiting) < _AT_ONCE:
            self._waiting.append(attempt)
        else:
            self.dropped += 1

    def take(self) -> list[Attempt]:
        """All that wait, oldest first; they wait no more."""
        taken = []
        while self._waiting:
            taken.append(self._waiting.popleft())
        return taken

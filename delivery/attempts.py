"""Selects the attempts for the attempt log: failures, up to a limit, and a sample of the successes."""

from __future__ import annotations

from collections import deque

from domain.attempt import Attempt

_AT_ONCE = 500
"""Maximum number of attempts in the buffer; further ones are counted and dropped."""
SAMPLE = 0.01
"""Share of the successes that is logged."""


class AttemptBuffer:
    """A buffer that one thread writes and another empties."""

    def __init__(self) -> None:
        self._waiting: deque[Attempt] = deque()
        self.dropped = 0
        """number of attempts dropped since the start"""

    def add(self, attempt: Attempt) -> None:
        if len(self._waiting) < _AT_ONCE:
            self._waiting.append(attempt)
        else:
            self.dropped += 1

    def take(self) -> list[Attempt]:
        """Remove and return all attempts, the oldest first."""
        taken = []
        while self._waiting:
            taken.append(self._waiting.popleft())
        return taken

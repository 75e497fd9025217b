"""Attempts on their way to the store: what the store did not take is kept for the next time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from uuid import uuid4

import structlog

from domain.attempt import Attempt
from gateway.mongo.attempts import Attempts

log = structlog.get_logger("workerrmq.worker")


class AttemptWriter:
    """Owned by one thread."""

    def __init__(self, attempts: Attempts, *, most: int = 10_000, at_once: int = 500) -> None:
        """Keep at most `most` attempts that the store does not take; the oldest are lost first. Write `at_once` in one
        call."""
        self._attempts, self._most, self._at_once = attempts, most, at_once
        self._waiting: deque[tuple[str, Attempt]] = deque()
        self._lost = 0

    def write(self, attempts: Sequence[Attempt]) -> None:
        """Store these, after those that wait. Raises StoreUnavailable; then they wait, too."""
        # Each has its id before it is sent, so that one which is sent again is not stored twice.
        self._waiting.extend((uuid4().hex, attempt) for attempt in attempts)
        while len(self._waiting) > self._most:
            self._waiting.popleft()
            self._lost += 1
        while self._waiting:
            batch = dict(list(self._waiting)[: self._at_once])
            self._lost += self._attempts.add(batch)
            for _ in batch:
                self._waiting.popleft()
        if self._lost:
            log.error("attempts_lost", count=self._lost)
            self._lost = 0

"""Writes attempts to the store, and keeps those that could not be written for the next call."""

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
        """Keep at most `most` unwritten attempts and drop the oldest beyond that. Write up to `at_once` attempts per
        call to the store."""
        self._attempts, self._most, self._at_once = attempts, most, at_once
        self._waiting: deque[tuple[str, Attempt]] = deque()
        self._lost = 0

    def write(self, attempts: Sequence[Attempt]) -> None:
        """Store the attempts that wait, then `attempts`. Raises StoreUnavailable; the unwritten ones then wait for the
        next call."""
        # Each attempt gets its id here, so that a repeated write does not store it twice.
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

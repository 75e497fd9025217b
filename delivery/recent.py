"""Success rate and latencies of a consumer's last answers. Recording an answer costs two array writes."""

from __future__ import annotations

import math
from array import array
from typing import NamedTuple

WINDOW = 200
"""Number of answers that are kept."""


class Recent(NamedTuple):
    """Of the last `answers` (at most 200), `succeeded` were successes. `p50_ms` and `p99_ms` are percentiles of their
    latencies in milliseconds; None without answers."""

    answers: int = 0
    succeeded: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None


class RecentAnswers:
    """A ring buffer, written for each answer and read twice a second. Owned by one thread."""

    def __init__(self) -> None:
        self._seconds = array("d", bytes(8 * WINDOW))
        self._succeeded = bytearray(WINDOW)
        self._count = 0
        self._summary, self._summed = Recent(), 0

    def add(self, seconds: float, succeeded: bool) -> None:
        """Record one answer, which took `seconds`."""
        place = self._count % WINDOW
        self._seconds[place] = seconds
        self._succeeded[place] = succeeded
        self._count += 1

    def summary(self) -> Recent:
        """Return the summary; it is the same object until the next answer."""
        if self._summed != self._count:
            self._summary, self._summed = self._summarised(), self._count
        return self._summary

    def _summarised(self) -> Recent:
        answers = min(self._count, WINDOW)
        took = sorted(self._seconds[:answers])
        return Recent(answers, self._succeeded.count(1), _milliseconds(took, 0.5), _milliseconds(took, 0.99))


def _milliseconds(took: list[float], share: float) -> float:
    """Return the percentile `share` (0 to 1) of sorted times, by nearest rank, in milliseconds."""
    return round(took[math.ceil(len(took) * share) - 1] * 1000, 1)

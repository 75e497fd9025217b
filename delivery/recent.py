"""How a consumer's target did of late: its last answers, of which every one costs no more than two array writes."""

from __future__ import annotations

import math
from array import array
from typing import NamedTuple

WINDOW = 200
"""Answers that are remembered."""


class Recent(NamedTuple):
    """Of the last `answers` (200 at most) so many `succeeded`; how long half of them took at most, and 99 % of them, in
    milliseconds. None when nothing was asked."""

    answers: int = 0
    succeeded: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None


class RecentAnswers:
    """Written for every answer, read twice a second. Owned by one thread."""

    def __init__(self) -> None:
        self._seconds = array("d", bytes(8 * WINDOW))
        self._succeeded = bytearray(WINDOW)
        self._count = 0
        self._summary, self._summed = Recent(), 0

    def add(self, seconds: float, succeeded: bool) -> None:
        """One answer, after so many seconds."""
        place = self._count % WINDOW
        self._seconds[place] = seconds
        self._succeeded[place] = succeeded
        self._count += 1

    def summary(self) -> Recent:
        """The same object until there is another answer."""
        if self._summed != self._count:
            self._summary, self._summed = self._summarised(), self._count
        return self._summary

    def _summarised(self) -> Recent:
        answers = min(self._count, WINDOW)
        took = sorted(self._seconds[:answers])
        return Recent(answers, self._succeeded.count(1), _milliseconds(took, 0.5), _milliseconds(took, 0.99))


def _milliseconds(took: list[float], share: float) -> float:
    """The least time that at least this share did not exceed (nearest rank)."""
    return round(took[math.ceil(len(took) * share) - 1] * 1000, 1)

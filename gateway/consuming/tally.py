"""From a consumer's plain counters to the instruments that Prometheus sees: in lots, for each of them costs
microseconds."""

from __future__ import annotations

from typing import Protocol

from gateway.metrics.instruments import ATTEMPT_BUCKETS, ATTEMPT_SECONDS, DELIVERIES, series_of

OUTCOMES = ("delivered", "retried", "dead_lettered", "requeued")
NO_ATTEMPTS = [0] * (len(ATTEMPT_BUCKETS) + 1)


class Counted(Protocol):
    """What a consumer counts: deliveries by outcome, attempts by how long they took, and how long all took."""

    delivered: int
    retried: int
    dead_lettered: int
    requeued: int
    attempts: list[int]
    seconds: float


class Tally:
    """Knows how much of one consumer's counts the instruments have been told. Owned by the loop's thread."""

    def __init__(self) -> None:
        self._settled = (0, 0, 0, 0)
        self._attempts, self._seconds = NO_ATTEMPTS, 0.0

    def tell(self, consumer: str, queue: str, counted: Counted) -> None:
        """Tell them what is new."""
        settled = (counted.delivered, counted.retried, counted.dead_lettered, counted.requeued)
        if settled != self._settled:
            labels = series_of(consumer, queue)
            for outcome, now, before in zip(OUTCOMES, settled, self._settled, strict=True):
                if now > before:
                    DELIVERIES.labels(*labels, outcome).inc(now - before)
            self._settled = settled
        if counted.attempts != self._attempts:
            new = [now - before for now, before in zip(counted.attempts, self._attempts, strict=True)]
            ATTEMPT_SECONDS.labels(*series_of(consumer, queue)).add(new, counted.seconds - self._seconds)
            self._attempts, self._seconds = counted.attempts.copy(), counted.seconds

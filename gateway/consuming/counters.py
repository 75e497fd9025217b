"""Counts one consumer's deliveries on the loop, over all its revisions."""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, datetime
from typing import Any

from delivery.fate import Fate
from delivery.recent import RecentAnswers
from domain.outcome import NEVER_ASKED, Answer, ErrorClass, Outcome
from gateway.consuming.session import Delivery
from gateway.metrics.instruments import ATTEMPT_BUCKETS, ATTEMPT_SECONDS, DELIVERIES, series_of

_SETTLED = ("delivered", "retried", "dead_lettered", "requeued", "filtered", "routed")
_NO_ATTEMPTS = [0] * (len(ATTEMPT_BUCKETS) + 1)


class Counters:
    """An observer of deliveries. Owned by the loop's thread."""

    def __init__(self) -> None:
        self._failing = False  # whether the last answer was not a success
        self._since = datetime.now(UTC)
        self._settled = dict.fromkeys(_SETTLED, 0)
        self._last_status: int | None = None
        self._error: str | None = None
        self._error_at: datetime | None = None
        self._recent = RecentAnswers()
        self._attempts, self._seconds = _NO_ATTEMPTS.copy(), 0.0  # by duration, as ATTEMPT_BUCKETS; sum of durations
        self._refused: dict[Delivery, str] = {}  # the broker's reason by delivery whose copy it refuses
        self._told = dict.fromkeys(_SETTLED, 0), _NO_ATTEMPTS, 0.0  # counts in the instruments

    def answered(self, _delivery: Delivery, answer: Answer, _outcome: Outcome) -> None:
        if answer.error not in NEVER_ASKED:
            self._attempts[bisect_left(ATTEMPT_BUCKETS, answer.seconds)] += 1
            self._seconds += answer.seconds

    def decided(self, _delivery: Delivery, answer: Answer, fate: Fate, _delay: int | None) -> None:
        if answer.error in (ErrorClass.FILTERED, ErrorClass.ROUTED):  # which tells nothing of the target
            return
        self._last_status = answer.status
        self._recent.add(answer.seconds, fate is Fate.ACK)
        self._failing = fate is not Fate.ACK
        if self._failing:
            self.noted(answer.reason)

    def noted(self, reason: str) -> None:
        """Record the consumer's last error."""
        self._error, self._error_at = reason, datetime.now(UTC)

    @property
    def failing(self) -> bool:
        """Whether the last answer was not a success, or the broker refuses a copy now."""
        return self._failing or bool(self._refused)

    def settled(self, delivery: Delivery, result: str) -> None:
        """Count a settled delivery: `delivered`, `retried`, `dead_lettered`, `requeued`, `filtered` or
        `routed`."""
        self._settled[result] += 1
        if self._refused:
            self._refused.pop(delivery, None)

    def copy_refused(self, delivery: Delivery, reason: str) -> bool:
        """Record that the broker refused a delivery's copy; return whether it is the first refusal."""
        self.noted(reason)
        first = self._refused.pop(delivery, None) is None
        self._refused[delivery] = reason  # at the end, because `figures` returns the last reason
        return first

    def forget_refused(self, delivery: Delivery) -> str | None:
        """Remove the record of a delivery's refused copy; return the reason, None if there was no record."""
        return self._refused.pop(delivery, None)

    def figures(self) -> dict[str, Any]:
        """Return the fields of `ConsumerCounts`, except `in_flight`."""
        for delivery in [one for one in self._refused if not one.open]:
            del self._refused[delivery]
        return {
            "since": self._since,
            **self._settled,
            **self._recent.summary()._asdict(),
            "last_status": self._last_status,
            "error": self._error,
            "error_at": self._error_at,
            "refused_copies": len(self._refused),
            "copy_error": next(reversed(self._refused.values()), None),
        }

    def tell(self, consumer: str, queue: str) -> None:
        """Add the counts since the last call to Prometheus's instruments, in batches because each call takes
        microseconds."""
        settled, attempts, seconds = self._told
        if self._settled != settled:
            labels = series_of(consumer, queue)
            for result, count in self._settled.items():
                if count > settled[result]:
                    DELIVERIES.labels(*labels, result).inc(count - settled[result])
        if self._attempts != attempts:
            new = [now - before for now, before in zip(self._attempts, attempts, strict=True)]
            ATTEMPT_SECONDS.labels(*series_of(consumer, queue)).add(new, self._seconds - seconds)
        self._told = self._settled.copy(), self._attempts.copy(), self._seconds

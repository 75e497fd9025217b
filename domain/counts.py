"""The counts of a consumer, in the same form from the loop through the heartbeat to the API."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerCounts:
    """The counts of one consumer on one worker since that worker started it, or their sum over workers.

    `last_status` is the last HTTP status, `error` the last failure. `refused_copies` counts the messages
    whose copy (a retry, a dead letter, a forwarded or routed message, a reply) the broker refuses now; `copy_error` is
    the last reason. `succeeded` of the last `answers` (at most 200 for each worker) were successes; `p50_ms` and
    `p99_ms` are their latencies in milliseconds (median, 99th percentile). It counts since `since`.
    """

    in_flight: int = 0
    delivered: int = 0
    retried: int = 0
    dead_lettered: int = 0
    requeued: int = 0
    filtered: int = 0
    routed: int = 0
    last_status: int | None = None
    error: str | None = None
    error_at: datetime | None = None
    refused_copies: int = 0
    copy_error: str | None = None
    answers: int = 0
    succeeded: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    since: datetime | None = None

    def __add__(self, other: ConsumerCounts) -> ConsumerCounts:
        """Return the sum. The error is the most recent one, the latencies are those of the slower worker."""
        latest, earlier = sorted((other, self), key=lambda counts: counts.error_at or _NEVER, reverse=True)
        most = max(self, other, key=lambda counts: counts.refused_copies)
        return ConsumerCounts(
            **{name: getattr(self, name) + getattr(other, name) for name in _SUMS},
            last_status=latest.last_status or earlier.last_status,
            error=latest.error,
            error_at=latest.error_at,
            copy_error=most.copy_error,
            p50_ms=max((ms for ms in (self.p50_ms, other.p50_ms) if ms is not None), default=None),
            p99_ms=max((ms for ms in (self.p99_ms, other.p99_ms) if ms is not None), default=None),
            since=min((at for at in (self.since, other.since) if at is not None), default=None),
        )

    def figures(self) -> dict[str, Any]:
        """Return the fields of `ConsumerFigures`."""
        found = {_FIGURES.get(one.name, one.name): getattr(self, one.name) for one in fields(ConsumerCounts)}
        answers, succeeded = found.pop("answers"), found.pop("succeeded")
        return {**found, "success_rate": succeeded / answers if answers else None}


_SUMS = tuple(one.name for one in fields(ConsumerCounts) if one.default == 0)
_FIGURES = {
    "error": "last_error",
    "error_at": "last_error_at",
    "p50_ms": "latency_p50_ms",
    "p99_ms": "latency_p99_ms",
    "since": "counted_since",
}
"""The names of `ConsumerFigures` for the fields that it names otherwise."""

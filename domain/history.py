"""The history of queues and consumers: what is measured, in buckets of which width, and how a bucket is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any, Literal, NamedTuple, Self

from domain.model import Model

PeriodName = Literal["hour", "day", "week"]


@dataclass(frozen=True, slots=True)
class Period:
    """The last `buckets` buckets of `width` seconds each. A bucket's number is its Unix time divided by
    the width."""

    width: int
    buckets: int

    def number(self, at: float) -> int:
        """Return the number of the bucket at a Unix time."""
        return int(at // self.width)


PERIODS: Mapping[PeriodName, Period] = {"hour": Period(60, 60), "day": Period(900, 96), "week": Period(7200, 84)}


class Measures(NamedTuple):
    """The measurements of a queue or a consumer: `rates` from counters, in messages per second, and `peaks`, of which a
    bucket keeps the highest."""

    rates: tuple[str, ...]
    peaks: tuple[str, ...]


Kind = Literal["queue", "consumer"]
MEASURES: Mapping[Kind, Measures] = {
    "queue": Measures(("publishRate", "deliverRate", "ackRate"), ("ready", "unacked")),
    "consumer": Measures(
        ("deliveredRate", "retriedRate", "deadLetteredRate", "requeuedRate"),
        ("inFlight", "latencyP50Ms", "latencyP99Ms"),
    ),
}


class Key(NamedTuple):
    """A queue by its name, or a consumer by its id."""

    kind: Kind
    subject: str


ALL_QUEUES = Key("queue", "")
"""All queues together. No queue has an empty name."""


Counts = tuple[int, ...]
Numbers = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Bucket:
    """The measurements of one queue or consumer in one bucket. `counts` were counted in `seconds`, which are fewer than
    the bucket's width if it has begun only now, or if nothing could be counted for a while."""

    seconds: float = 0.0
    counts: Counts = ()
    peaks: Numbers = ()

    def __add__(self, other: Self) -> Bucket:
        return Bucket(
            self.seconds + other.seconds,
            tuple(one + another for one, another in zip_longest(self.counts, other.counts, fillvalue=0)),
            tuple(greatest(both) for both in zip_longest(self.peaks, other.peaks)),
        )

    def values(self, measures: Measures) -> dict[str, float | None]:
        """Return the rates and peaks by name. A rate without a counted second is None, not 0."""
        rates = [round(count / self.seconds, 3) for count in self.counts] if self.seconds else []
        return {
            **dict.fromkeys((*measures.rates, *measures.peaks)),
            **dict(zip(measures.rates, rates, strict=False)),  # another release may have stored fewer or more
            **dict(zip(measures.peaks, self.peaks, strict=False)),
        }


def greatest(values: Iterable[float | None]) -> float | None:
    """Return the greatest of the values that are known, or None."""
    return max((one for one in values if one is not None), default=None)


@dataclass(frozen=True, slots=True)
class Readings:
    """The counters at the Unix time `at`: of each queue by its name, and of each consumer on each worker."""

    at: float
    queues: dict[str, Counts] = field(default_factory=dict)
    consumers: dict[str, Counts] = field(default_factory=dict)


class HistoryDetails(Model):
    """The history of a queue, of all queues, or of a consumer, in buckets of `bucketSeconds`. `times` lists the start
    of each bucket, without gaps, from the first bucket with a measurement to the current one. Each list in `series` has
    one value for each bucket; null means that the service measured nothing.

    Of a queue: `publishRate`, `deliverRate`, `ackRate`, `ready` and `unacked`. Of a consumer: `deliveredRate`,
    `retriedRate`, `deadLetteredRate`, `requeuedRate`, `inFlight`, `latencyP50Ms` and `latencyP99Ms`. Rates are messages
    per second, on average over the measured part of the bucket; all others are the maximum in the bucket.
    Latencies are null in buckets without an attempt."""

    period: PeriodName
    bucket_seconds: int
    times: list[datetime]
    series: dict[str, list[float | None]]

    @classmethod
    def of(
        cls, name: PeriodName, period: Period, kind: Kind, found: Mapping[int, Bucket], now: float
    ) -> HistoryDetails:
        """Return the history in the buckets that are `found`, by number."""
        last = period.number(now)
        numbers = range(min(found), max(last, *found) + 1) if found else range(0)
        rows = [found.get(number, Bucket()).values(MEASURES[kind]) for number in numbers]
        names = (*MEASURES[kind].rates, *MEASURES[kind].peaks)
        fields: dict[str, Any] = {"period": name, "bucket_seconds": period.width}
        return cls(
            **fields,
            times=[datetime.fromtimestamp(number * period.width, UTC) for number in numbers],
            series={one: [row[one] for row in rows] for one in names},
        )

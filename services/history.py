"""The history of queues and consumers: takes the measurements and reads them.

The process that observes (service_events.py) takes the measurements. The store holds everything that the next one
needs, so another process can take it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence

from domain.counts import ConsumerCounts
from domain.history import ALL_QUEUES, Bucket, Counts, HistoryDetails, Key, Numbers, PeriodName, Readings
from domain.names import OWN
from domain.overview import QueueOutline
from domain.registry import Heartbeat, Report
from gateway.mongo.history import Buckets, History

_NONE: Counts = (0, 0, 0, 0)


class Recorder:
    """Takes the measurements. Belongs to the thread that observes."""

    def __init__(self, store: History, *, every: float = 10.0, gap: float = 60.0, most: int = 2000) -> None:
        """Measure at most every `every` seconds. If the last measurement is older than `gap` seconds, the time since
        then is a gap. Record the first `most` queues, and consumers, by name and by id."""
        self._store, self._every, self._gap, self._most = store, every, gap, most
        self._last: Readings | None = None
        self._buckets: Buckets = {}

    def record(self, now: float, workers: Sequence[Heartbeat], queues: Sequence[QueueOutline] | None) -> None:
        """Record the state at the Unix time `now`, if it is due. `queues` is None while they are unknown. Raises
        StoreUnavailable."""
        if self._last is not None and 0 <= now - self._last.at < self._every:
            return
        reports = self._reports(workers)
        queues = self._own_excluded(queues)
        readings = Readings(
            now,
            {one.name: one.counted for one in queues if one.counted is not None},
            {name: _counts(report) for name, report in reports.items()},
        )
        if not self._advance(readings):  # another process has recorded meanwhile
            self._last, self._buckets = self._store.latest(now)
            if self._last is not None and 0 <= now - self._last.at < self._every:
                return
            if not self._advance(readings):
                return
        before, self._last = self._last, readings
        if before is None or not 0 < now - before.at <= self._gap:
            before = None
        of_queues = _of_queues(queues, before, now)
        self._add(now, {ALL_QUEUES: _sum(of_queues.values()), **of_queues, **_of_consumers(reports, before, now)})

    def _advance(self, readings: Readings) -> bool:
        return self._store.advance(None if self._last is None else self._last.at, readings)

    def _add(self, now: float, measured: dict[Key, Bucket]) -> None:
        for name, period in self._store.periods.items():
            number, buckets = self._buckets.get(name, (None, {}))
            if number != period.number(now):
                buckets = {}
            for key, one in measured.items():
                buckets[key] = buckets.get(key, Bucket()) + one
            self._buckets[name] = period.number(now), buckets
        self._store.put(self._buckets)

    def _own_excluded(self, queues: Sequence[QueueOutline] | None) -> list[QueueOutline]:
        found = (one for one in queues or () if not one.name.startswith(OWN))
        return sorted(found, key=lambda one: one.name)[: self._most]

    def _reports(self, workers: Sequence[Heartbeat]) -> dict[str, Report]:
        """Return the reports by the names of their counters. A worker that starts a consumer again has new counters."""
        ids = sorted({report.consumer_id for beat in workers for report in beat.consumers})[: self._most]
        kept = set(ids)
        return {
            f"{beat.worker} {report.consumer_id} {report.since}": report
            for beat in workers
            for report in beat.consumers
            if report.consumer_id in kept
        }


def _of_queues(queues: Sequence[QueueOutline], before: Readings | None, now: float) -> dict[Key, Bucket]:
    """Return what has happened in each queue since the readings `before`. RabbitMQ's counters become smaller when a
    node restarts; then, and for a queue without earlier readings, nothing is known of the time in between."""
    measured = {}
    for one in queues:
        if one.held is None:
            continue
        peaks: Numbers = (one.ready, one.unacked)
        earlier = before.queues.get(one.name) if before else None
        known = before is not None and earlier is not None and one.counted is not None
        grown = tuple(new - old for new, old in zip(one.counted or (), earlier or (), strict=False)) if known else ()
        if before is None or not grown or min(grown) < 0:
            measured[Key("queue", one.name)] = Bucket(peaks=peaks)
        else:
            measured[Key("queue", one.name)] = Bucket(now - before.at, grown, peaks)
    return measured


def _sum(queues: Collection[Bucket]) -> Bucket:
    """Return what has happened in all queues. A queue whose counters are unknown adds no counts."""
    counted = [one for one in queues if one.counts]
    counts = tuple(map(sum, zip(*(one.counts for one in counted), strict=True)))
    peaks = tuple(sum(known) for known in zip(*(one.peaks for one in queues), strict=True))
    return Bucket(counted[0].seconds if counted else 0.0, counts, peaks)


def _of_consumers(reports: dict[str, Report], before: Readings | None, now: float) -> dict[Key, Bucket]:
    """Return what each consumer has done since the readings `before`, on all its workers."""
    of: dict[str, list[tuple[Report, Counts | None]]] = defaultdict(list)
    for name, report in reports.items():
        of[report.consumer_id].append((report, None if before is None else _grown(name, report, before)))
    measured = {}
    for one, found in of.items():
        grown = [counts for _, counts in found if counts is not None]
        counts = tuple(map(sum, zip(*grown, strict=True)))
        total = sum((report for report, _ in found), ConsumerCounts())
        # The latencies are those of the last 200 answers, however old they are.
        latencies = (total.p50_ms, total.p99_ms) if any(counts) else (None, None)
        seconds = now - before.at if before and grown else 0.0
        measured[Key("consumer", one)] = Bucket(seconds, counts, (total.in_flight, *latencies))
    return measured


def _grown(name: str, report: Report, before: Readings) -> Counts | None:
    """Return by how much the counters called `name` have grown since the readings `before`, None if that is unknown.
    Counters that have begun since then have begun at 0."""
    begun = report.since is not None and report.since.timestamp() >= before.at
    earlier = before.consumers.get(name, _NONE if begun else None)
    if earlier is None:
        return None
    grown = tuple(new - old for new, old in zip(_counts(report), earlier, strict=False))
    return None if min(grown) < 0 else grown


def _counts(report: Report) -> Counts:
    return report.delivered, report.retried, report.dead_lettered, report.requeued


class Histories:
    """Reads the history. Thread-safe."""

    def __init__(self, store: History, *, clock: Callable[[], float] = time.time) -> None:
        self._store, self._clock = store, clock

    def of(self, key: Key, name: PeriodName) -> HistoryDetails:
        """Return the history of a queue or a consumer. Raises StoreUnavailable."""
        now = self._clock()
        return HistoryDetails.of(name, self._store.periods[name], key.kind, self._store.of(key, name, now), now)

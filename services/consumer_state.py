"""What a consumer's live workers together say of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from domain.consumer_details import ConsumerDetails, State, WorkerReport
from domain.counts import ConsumerCounts
from domain.credentials import masked_headers, masked_url
from domain.registry import Actual, ConsumerFilter, Desired, Heartbeat, RegisteredConsumer, Report

_WORST_FIRST: dict[Actual, State] = {
    "suspended": "suspended",  # the registry hears of it within a second
    "breaker-open": "failing",
    "probing": "failing",
    "resting": "failing",
    "failing": "failing",
    "throttled": "waiting",
    "running": "running",
    "waiting": "waiting",
    "standby": "waiting",  # where no worker runs it, one is about to
    "draining": "waiting",
    "starting": "waiting",
}
_RANKS = {state: rank for rank, state in enumerate(_WORST_FIRST)}


class Live:
    """The reports of all live workers, by consumer."""

    def __init__(self, workers: Sequence[Heartbeat]) -> None:
        self.any_worker = bool(workers)
        self._reports: dict[str, list[tuple[str, Report]]] = defaultdict(list)
        for beat in workers:
            for report in beat.consumers:
                self._reports[report.consumer_id].append((beat.worker, report))

    def of(self, consumer_id: str) -> list[tuple[str, Report]]:
        """What each worker that runs it says, with the worker's name."""
        return self._reports.get(consumer_id, [])

    def worst(self, consumer_id: str) -> Report | None:
        """What the worker says that fares worst with it; None when no worker runs it."""
        reports = [report for _, report in self.of(consumer_id)]
        return min(reports, key=lambda report: _RANKS[report.state], default=None)

    def counts(self, consumer_id: str) -> ConsumerCounts:
        """The sum of what its workers count."""
        return sum((report for _, report in self.of(consumer_id)), ConsumerCounts())

    def state(self, consumer_id: str, desired: Desired, reason: str | None = None) -> tuple[State, str | None]:
        """The state of a consumer, and why. Of one that is enabled: one worker that fails makes it fail; otherwise one
        that runs makes it run. Any other is as it is desired to be, for that `reason`."""
        if desired != "enabled":
            return desired, reason
        if worst := self.worst(consumer_id):
            return _WORST_FIRST[worst.state], worst.reason
        if self.any_worker:
            return "waiting", "no worker has taken it up yet; that takes about a second"
        return "waiting", "no worker is alive: run WorkerRMQ.py, or gunicorn with CONSUMERS=inline"

    def narrowed(self, wanted: ConsumerFilter, state: State) -> ConsumerFilter:
        """Of the consumers that are wanted only those in this state."""
        if state in ("paused", "suspended"):
            return replace(wanted, desired=state)
        states = {consumer_id: self.state(consumer_id, "enabled")[0] for consumer_id in self._reports}
        if state == "waiting":
            others = frozenset(key for key, found in states.items() if found != "waiting")
            return replace(wanted, desired="enabled", not_ids=others)
        return replace(wanted, desired="enabled", ids=frozenset(key for key, found in states.items() if found == state))


def details(consumer: RegisteredConsumer, live: Live) -> ConsumerDetails:
    """`consumer` beside its state by the live workers, secrets masked."""
    found = live.of(consumer.id)
    state, reason = live.state(consumer.id, consumer.state, consumer.reason)
    spec = consumer.spec
    # Not validated again: one that a newer release finds invalid must still be seen, and changed.
    return ConsumerDetails.model_construct(
        **dict(spec) | {"url": masked_url(spec.url), "headers": masked_headers(spec.headers)},
        consumer_id=consumer.id,
        revision=consumer.revision,
        desired_state=consumer.state,
        state=state,
        reason=reason,
        **live.counts(consumer.id).figures(),
        workers=[_shown(worker, report) for worker, report in found],
        signing_overlap_until=max(
            (old.until for old in consumer.retiring_secrets if old.until > datetime.now(UTC)), default=None
        ),
        created_at=consumer.created_at,
        updated_at=consumer.updated_at,
    )


def _shown(worker: str, report: Report) -> WorkerReport:
    return WorkerReport(
        worker=worker, state=report.state, reason=report.reason, revision=report.revision, **report.figures()
    )

"""The state of a consumer, from the reports of all live workers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic.alias_generators import to_snake

from domain.consumer import ConsumerSpec, TargetSpec
from domain.consumer_details import ConsumerDetails, State, WorkerReport
from domain.counts import ConsumerCounts
from domain.credentials import masked_auth, masked_headers, masked_url
from domain.overview import ConsumerOutline
from domain.registry import Actual, ConsumerFilter, Desired, Heartbeat, RegisteredConsumer, Report
from domain.router import Route
from services.selecting import place

Spec = TypeVar("Spec", bound=ConsumerSpec)

_WORST_FIRST: dict[Actual, State] = {
    "suspended": "suspended",  # the worker suspends it in the registry within a second
    "breaker-open": "failing",
    "probing": "failing",
    "resting": "failing",
    "failing": "failing",
    "throttled": "waiting",
    "running": "running",
    "waiting": "waiting",
    "standby": "waiting",  # if no worker runs it yet, one takes over soon
    "draining": "waiting",
    "starting": "waiting",
}
_STATES_WORST_FIRST: tuple[State, ...] = ("suspended", "failing", "waiting", "paused", "running")
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
        """Return the reports on a consumer as (worker's name, report)."""
        return self._reports.get(consumer_id, [])

    def worst(self, consumer_id: str) -> Report | None:
        """Return the report with the worst state, or None when no worker runs the consumer."""
        reports = [report for _, report in self.of(consumer_id)]
        return min(reports, key=lambda report: _RANKS[report.state], default=None)

    def open_breaker(self, consumer_id: str) -> Report | None:
        """Return a report that the circuit breaker of the consumer's target is open or half open; None if there is
        none."""
        reports = (report for _, report in self.of(consumer_id))
        return next((report for report in reports if report.state in ("breaker-open", "probing")), None)

    def next_attempt_at(self, consumer_id: str) -> datetime | None:
        """Return the earliest time at which a worker sends the next message; None if one may send now."""
        times = [report.next_attempt_at for _, report in self.of(consumer_id)]
        known = [at for at in times if at is not None]
        return min(known) if known and len(known) == len(times) else None

    def counts(self, consumer_id: str) -> ConsumerCounts:
        """Return the sum of the counts of all its workers."""
        return sum((report for _, report in self.of(consumer_id)), ConsumerCounts())

    def state(self, consumer_id: str, desired: Desired, reason: str | None = None) -> tuple[State, str | None]:
        """Return the state of a consumer and the reason for it. An enabled consumer has the worst state that a worker
        reports, and waits without a report. Any other has its desired state and `reason`."""
        if desired != "enabled":
            return desired, reason
        if worst := self.worst(consumer_id):
            return _WORST_FIRST[worst.state], worst.reason
        if self.any_worker:
            return "waiting", "no worker has started it yet; this takes about a second"
        return "waiting", "no worker is alive; run WorkerRMQ.py, or gunicorn with CONSUMERS=inline"

    def narrowed(self, wanted: ConsumerFilter, state: State) -> ConsumerFilter:
        """Return `wanted` narrowed to the consumers in `state`."""
        if state in ("paused", "suspended"):
            return replace(wanted, desired=state)
        states = {consumer_id: self.state(consumer_id, "enabled")[0] for consumer_id in self._reports}
        if state == "waiting":
            others = frozenset(key for key, found in states.items() if found != "waiting")
            return replace(wanted, desired="enabled", not_ids=others)
        return replace(wanted, desired="enabled", ids=frozenset(key for key, found in states.items() if found == state))


def details(
    consumer: RegisteredConsumer, spec: ConsumerSpec, live: Live, backlog: int | None = None
) -> ConsumerDetails:
    """Return a consumer's definition, with masked secrets, and its state. `spec` is the definition with the routes,
    `backlog` the number of ready messages in its queue."""
    found = live.of(consumer.id)
    state, reason = live.state(consumer.id, consumer.state, consumer.reason)
    # No validation here: a consumer that a newer release finds invalid must still be visible, so that it can be fixed.
    return ConsumerDetails.model_construct(
        **dict(masked(spec)),
        backlog=backlog,
        router=consumer.router,
        consumer_id=consumer.id,
        revision=consumer.revision,
        desired_state=consumer.state,
        state=state,
        reason=reason,
        next_attempt_at=live.next_attempt_at(consumer.id) if consumer.state == "enabled" else None,
        **live.counts(consumer.id).figures(),
        workers=[_shown(worker, report) for worker, report in found],
        signing_overlap_until=max(
            (old.until for old in consumer.retiring_secrets if old.until > datetime.now(UTC)), default=None
        ),
        created_at=consumer.created_at,
        updated_at=consumer.updated_at,
    )


def sort_key(one: ConsumerOutline, sort: str, live: Live, backlogs: Mapping[str, int]) -> tuple[int, float, str]:
    """Return the value by which a list of consumers is sorted: a field of its outline or a count. States are sorted by
    severity."""
    if sort == "state":
        return place(_STATES_WORST_FIRST.index(live.state(one.id, one.desired)[0]))
    if sort == "backlog":
        return place(backlogs.get(one.queue_name))
    name = to_snake(sort)
    return place(getattr(one, name) if hasattr(one, name) else live.counts(one.id).figures()[name])


def shown(spec: ConsumerSpec, *, exclude_defaults: bool = False) -> dict[str, Any]:
    """Return the spec as clients see it: JSON names, masked secrets."""
    seen = masked(spec)
    document = seen.model_dump(by_alias=True, mode="json", exclude_defaults=exclude_defaults)
    routes = [route.model_dump(by_alias=True, mode="json") for route in seen.routes]
    return document if exclude_defaults and not routes else document | {"routes": routes}


def masked(spec: Spec) -> Spec:
    """Return the spec, with its routes, with its secrets masked. Fields of type SecretStr mask themselves."""
    routes = tuple(
        route.model_copy(update=_hidden(route)) if isinstance(route, Route) else route for route in spec.routes
    )
    return spec.model_copy(update=_hidden(spec) | {"routes": routes})


def _hidden(target: TargetSpec) -> dict[str, Any]:
    url, headers, auth = masked_url(target.url), masked_headers(target.headers), masked_auth(target.auth)
    return {"url": url, "headers": headers, "auth": auth}


def _shown(worker: str, report: Report) -> WorkerReport:
    return WorkerReport(
        worker=worker,
        state=report.state,
        reason=report.reason,
        next_attempt_at=report.next_attempt_at,
        revision=report.revision,
        **report.figures(),
    )

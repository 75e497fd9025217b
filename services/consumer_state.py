"""What a consumer's live workers together say of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from domain.consumer_details import ConsumerDetails, State, WorkerReport, masked_headers, masked_url
from domain.registry import Actual, Heartbeat, RegisteredConsumer

_WORST_FIRST: dict[Actual, State] = {
    "suspended": "suspended",  # the registry hears of it within a second
    "breaker-open": "failing",
    "probing": "failing",
    "resting": "failing",
    "failing": "failing",
    "running": "running",
    "waiting": "waiting",
    "standby": "waiting",  # where no worker runs it, one is about to
    "draining": "waiting",
    "starting": "waiting",
}
_NEVER = datetime.min.replace(tzinfo=UTC)


def details(consumer: RegisteredConsumer, workers: Sequence[Heartbeat]) -> ConsumerDetails:
    """`consumer` beside its state by the live `workers`, secrets masked."""
    reports = _reports(consumer.id, workers)
    state, reason = _state(consumer, reports, bool(workers))
    latest = max(reports, key=lambda report: report.last_error_at or _NEVER, default=None)
    failed = latest if latest and latest.last_error_at else None
    spec = consumer.spec
    # Not validated again: one that a newer release finds invalid must still be seen, and changed.
    return ConsumerDetails.model_construct(
        **dict(spec) | {"url": masked_url(spec.url), "headers": masked_headers(spec.headers)},
        consumer_id=consumer.id,
        revision=consumer.revision,
        desired_state=consumer.state,
        state=state,
        reason=reason,
        in_flight=sum(report.in_flight for report in reports),
        delivered=sum(report.delivered for report in reports),
        retried=sum(report.retried for report in reports),
        dead_lettered=sum(report.dead_lettered for report in reports),
        requeued=sum(report.requeued for report in reports),
        last_status=next((one.last_status for one in [latest, *reports] if one and one.last_status), None),
        last_error=failed.last_error if failed else None,
        last_error_at=failed.last_error_at if failed else None,
        workers=reports,
        created_at=consumer.created_at,
        updated_at=consumer.updated_at,
    )


def _state(consumer: RegisteredConsumer, reports: Sequence[WorkerReport], any_worker: bool) -> tuple[State, str | None]:
    """One worker that fails makes the consumer fail; otherwise one that runs makes it run."""
    if consumer.state != "enabled":
        return consumer.state, consumer.reason
    for reported, state in _WORST_FIRST.items():
        for report in reports:
            if report.state == reported:
                return state, report.reason
    if any_worker:
        return "waiting", "no worker has taken it up yet; that takes about a second"
    return "waiting", "no worker is alive: run WorkerRMQ.py, or gunicorn with CONSUMERS=inline"


def _reports(consumer_id: str, workers: Sequence[Heartbeat]) -> list[WorkerReport]:
    return [
        WorkerReport(
            worker=beat.worker,
            state=report.state,
            reason=report.reason,
            revision=report.revision,
            in_flight=report.in_flight,
            delivered=report.delivered,
            retried=report.retried,
            dead_lettered=report.dead_lettered,
            requeued=report.requeued,
            last_status=report.last_status,
            last_error=report.error,
            last_error_at=report.error_at,
        )
        for beat in workers
        for report in beat.consumers
        if report.consumer_id == consumer_id
    ]

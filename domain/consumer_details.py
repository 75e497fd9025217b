"""A consumer as clients see it: desired state beside the workers' reports, without secrets."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args

from pydantic import Field

from domain.consumer import ROUTES, ConsumerSpec
from domain.model import Model
from domain.registry import Desired
from domain.route import RoutePattern
from domain.router import Route

State = Literal["running", "failing", "waiting", "paused", "suspended"]
STATES: tuple[State, ...] = get_args(State)


class ConsumerFigures(Model):
    """The counts of a consumer, as `ConsumerCounts.figures` returns them."""

    in_flight: int
    delivered: int
    retried: int
    dead_lettered: int
    requeued: int
    filtered: int
    routed: int
    last_status: int | None
    last_error: str | None
    last_error_at: datetime | None
    refused_copies: int
    copy_error: str | None
    success_rate: float | None
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    counted_since: datetime | None


class WorkerReport(ConsumerFigures):
    """The report of one worker process on a consumer, with counts since that process started it, at `countedSince`.

    `successRate` (0 to 1) and the latencies cover its last 200 answers, and are null before the first. `refusedCopies`
    counts the messages whose copy (a retry, a dead letter, a forwarded or routed message, a reply) the broker refuses
    now; `copyError` is the last reason.
    """

    worker: str
    state: str
    reason: str | None
    next_attempt_at: datetime | None
    revision: int


class ConsumerDetails(ConsumerFigures, ConsumerSpec):
    """`desiredState` is the state that users or workers set, `state` the actual one on the live workers, and `reason`
    says why the consumer does not run. Counts are sums over the live workers since `countedSince`, when the first of
    them started the consumer. `refusedCopies` counts the messages that stay unacked because the broker refuses their
    copies (a retry, a dead letter, a forwarded or routed message, a reply); `copyError` is the last reason.
    `successRate` (0 to 1) and the latencies (milliseconds) cover the last 200 answers of each worker; the latencies are
    those of the slowest worker. Until `signingOverlapUntil`, requests are also signed with the replaced secrets. At
    `nextAttemptAt` the next message is sent, while the circuit breaker is open on all workers."""

    routes: tuple[Route | RoutePattern, ...] = Field(
        (), description=f"{ROUTES}; without targets that are not permitted"
    )
    backlog: int | None = Field(
        description="ready messages in its queue; null in the answer to a change, and while RabbitMQ tells no number"
    )
    router: str | None = Field(description="name of the consumer that has this one as a route")
    consumer_id: str
    revision: int
    desired_state: Desired
    state: State
    reason: str | None
    next_attempt_at: datetime | None
    workers: list[WorkerReport]
    signing_overlap_until: datetime | None
    created_at: datetime
    updated_at: datetime

"""The log of delivery attempts: GET /getDeliveries."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from domain.attempt import Attempt, AttemptFilter, Result
from domain.model import Model
from domain.names import ShortString
from middlewares.auth import caller
from routes.api import Api, Reply, services
from routes.paging import LogQuery, paged
from routes.scope import FILTERED

api = Api("deliveries")


class WhichDeliveries(LogQuery):
    """Filters of the attempts; an attempt must match all of them."""

    sort: Literal["at", "consumer", "queueName", "attempt", "result", "status", "durationMs"] = "at"
    consumer: str | None = Field(None, max_length=255, description="the consumer's name")
    queue_name: ShortString | None = None
    message_id: str | None = Field(None, max_length=255)
    result: Result | None = None


class AttemptDetails(Model):
    """One attempt. The target answered with `status`, or the request failed with `error`. `nextAt` is the time of the
    next attempt. `sampled` marks a success if the log keeps only one success in a hundred."""

    at: datetime
    consumer_id: str
    consumer: str
    queue_name: str
    message_id: str
    attempt: int
    result: Result
    status: int | None
    error: str | None
    reason: str
    duration_ms: int
    next_at: datetime | None
    sampled: bool
    answer: str | None = Field(
        description="start of the body of the answer to a failed attempt; null for viewers, because it may repeat the "
        "message, and if the consumer's attemptLog keeps none"
    )


@api.get("/getDeliveries", role="viewer", touches=FILTERED, query=WhichDeliveries, answer=list[AttemptDetails])
def get_deliveries(query: WhichDeliveries) -> Reply:
    """List the attempts of the last seven days: all failures, and a sample of the successes."""
    wanted = AttemptFilter(
        query.consumer, query.queue_name, query.message_id, query.result, query.since, query.until, caller().queues
    )
    return paged(services.deliveries.page(wanted, query.order(), query.page, query.page_size), query, _shown)


def _shown(attempt: Attempt) -> AttemptDetails:
    fields: dict[str, Any] = {name: getattr(attempt, name) for name in Attempt.__slots__ if name != "queue"}
    if not caller().may("operator"):
        fields["answer"] = None
    return AttemptDetails(**fields, queue_name=attempt.queue)

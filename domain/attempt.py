"""One attempt to deliver a message, as the attempt log records it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from domain.model import Model
from domain.queue_scope import QueueScope

Result = Literal[
    "delivered",
    "retried",
    "requeued",
    "rejected",
    "exhausted",
    "expired",
    "filtered",
    "forwarded",
    "discarded",
    "routed",
    "replayed",
    "moved",
    "deleted",
]
"""`requeued`: back in its queue, uncharged; `rejected`, `exhausted` and `expired`: dead-lettered; the next three: the
message did not match the consumer's filter, and was dead-lettered (`filtered`), published elsewhere, or discarded;
`routed`: published to the queue of a route. The last three are no attempts: a user has replayed, moved or deleted the
dead letter."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt. `status` is the target's HTTP status; without an answer, `error` is the ErrorClass. `next_at` is the
    time of the next attempt, if there is one. `sampled`: the entry stands for many similar ones that the log omits.
    `answer` is the start of the answer's body and `answer_headers` are some of its headers, for failed attempts if the
    consumer's policy permits. `destination` is the queue to which the message went, if it left its queue and the
    service knows it. `by` is the user of a replay, a move or a deletion. The message's properties
    say `published_at` and `published_by`; `scheduled_for` is the time for which it was scheduled."""

    at: datetime
    consumer_id: str
    consumer: str
    queue: str
    message_id: str
    attempt: int
    result: Result
    status: int | None
    error: str | None
    reason: str
    duration_ms: int
    next_at: datetime | None
    sampled: bool = False
    answer: str | None = None
    answer_headers: Mapping[str, str] | None = None
    destination: str | None = None
    by: str | None = None
    published_at: datetime | None = None
    published_by: str | None = None
    scheduled_for: datetime | None = None


@dataclass(frozen=True, slots=True)
class AttemptFilter:
    """Selects attempts that match every field that is not None: at or after `since`, before `until`, of queues that
    `only` admits."""

    consumer: str | None = None
    queue: str | None = None
    message_id: str | None = None
    result: Result | None = None
    since: datetime | None = None
    until: datetime | None = None
    only: QueueScope | None = None
    destination: str | None = None


class AttemptDetails(Model):
    """One attempt. The target answered with `status`, or the request failed with `error`. `nextAt` is the time of the
    next attempt. `sampled` marks a success if the log keeps only one in a hundred. `destination` is the queue
    to which the message went, such as its dead-letter queue; null if it stayed, or if an exchange decided. The results
    `replayed`, `moved` and `deleted` are actions of the user `by` on a dead letter."""

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
    answer_headers: dict[str, str] | None = Field(
        description="some headers of the answer to a failed attempt, with names in lower case; null as `answer`"
    )
    destination: str | None
    by: str | None


def details_of(attempt: Attempt, *, answers: bool) -> AttemptDetails:
    """Return an attempt as clients see it; without the target's answer unless `answers`."""
    fields: dict[str, Any] = {name: getattr(attempt, name, None) for name in AttemptDetails.model_fields}
    if not answers:
        fields["answer"] = fields["answer_headers"] = None
    return AttemptDetails(**fields | {"queue_name": attempt.queue})

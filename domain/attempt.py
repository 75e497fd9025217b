"""One attempt to deliver a message, as the attempt log records it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

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
]
"""`requeued`: back in its queue, uncharged; `rejected`, `exhausted` and `expired`: dead-lettered; the next three: the
message did not match the consumer's filter, and was dead-lettered (`filtered`), published elsewhere, or discarded;
`routed`: published to the queue of a route."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt. `status` is the target's HTTP status; without an answer, `error` is the ErrorClass. `next_at` is the
    time of the next attempt, if there is one. `sampled`: the entry stands for many similar ones that the log omits.
    `answer` is the start of the answer's body, for failed attempts if the consumer's policy permits."""

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

"""One attempt to deliver a message, for the log of attempts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from domain.queue_scope import QueueScope

Result = Literal["delivered", "retried", "requeued", "rejected", "exhausted", "filtered", "forwarded", "discarded"]
"""`requeued`: back in its queue, uncharged; `rejected` and `exhausted`: dead-lettered; the last three: the consumer's
filter does not admit the message, which is dead-lettered (`filtered`), published elsewhere, or gone."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """`status` or `error` (an ErrorClass) says what came back, `next_at` when it is tried again. `sampled` is one of
    many alike that are not in the log."""

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


@dataclass(frozen=True, slots=True)
class AttemptFilter:
    """Which attempts are wanted: those that agree with all that is not None, from `since` on and before `until`, of the
    queues that `only` admits."""

    consumer: str | None = None
    queue: str | None = None
    message_id: str | None = None
    result: Result | None = None
    since: datetime | None = None
    until: datetime | None = None
    only: QueueScope | None = None

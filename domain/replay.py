"""A replay of dead letters: which, how fast, and how far it has come."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from domain.model import Model
from domain.moment import Moment
from domain.names import OpenQueueName, QueueName

Status = Annotated[int, Field(ge=100, le=599)]


class DeadLetterFilter(Model):
    """All that is given must hold of a dead letter. `since` and `until` are about the last failed attempt."""

    status: tuple[Status, ...] = Field((), strict=False, description="HTTP statuses, any of them")
    error: tuple[str, ...] = Field((), strict=False, description="error classes (timeout, dns …), any of them")
    message_ids: tuple[str, ...] = Field((), strict=False, max_length=10_000)
    headers: dict[str, str] = Field(default_factory=dict, description="headers of the message with these values")
    since: Moment | None = Field(None)
    until: Moment | None = Field(None)


class ReplayRequest(Model):
    """What `POST /replayDeadLetters` takes."""

    queue_name: OpenQueueName = Field(description="the queue that the messages go back to", examples=["orders"])
    dead_letter_queue: QueueName | None = Field(None, description="where they are; defaults to <queueName>.dlq")
    filter: DeadLetterFilter = DeadLetterFilter()
    limit: int | None = Field(None, ge=1, description="messages at most")
    per_second: float | None = Field(None, gt=0, le=100_000, description="messages a second at most")
    dry_run: bool = Field(False, description="only count what would be replayed")


class Replay(Model):
    """How far it has come. `examined` of `total` dead letters were looked at, of which `matched` fit the filter;
    `failed` of those could not be published and stay where they are. `skipped` fit the filter, too, and stay: they came
    from queues that the API key may not touch, or that are the service's own. `interrupted`: its process ended; what is
    left is still in the dead-letter queue, so another replay goes on."""

    replay_id: str
    queue_name: str
    dead_letter_queue: str
    state: Literal["running", "finished", "interrupted", "failed"]
    reason: str | None = None
    dry_run: bool = False
    total: int = 0
    examined: int = 0
    matched: int = 0
    replayed: int = 0
    failed: int = 0
    skipped: int = 0
    started_at: datetime
    updated_at: datetime


def fits(wanted: DeadLetterFilter, headers: Mapping[str, Any], message_id: str | None) -> bool:
    """Whether a dead letter with these headers is wanted."""
    failed_at = headers.get("workerrmq-last-failed-at")
    return (
        (not wanted.status or headers.get("workerrmq-status") in wanted.status)
        and (not wanted.error or headers.get("workerrmq-error") in wanted.error)
        and (not wanted.message_ids or message_id in wanted.message_ids)
        and all(str(headers.get(name)) == value for name, value in wanted.headers.items())
        and (wanted.since is None or _moment(failed_at) >= wanted.since)
        and (wanted.until is None or _moment(failed_at) < wanted.until)
    )


_NEVER = datetime.fromisoformat("0001-01-01T00:00:00+00:00")


def _moment(value: Any) -> datetime:
    """The time that a header names, `_NEVER` where it names none. A publisher may have written the header: a time
    without a zone cannot be compared."""
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return _NEVER
    return _NEVER if moment.tzinfo is None else moment

"""A replay of dead letters: its request, its filter and its progress."""

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
    """Selects dead letters that match every given field. `since` and `until` refer to the last failed attempt."""

    status: tuple[Status, ...] = Field((), strict=False, description="one of these HTTP statuses")
    error: tuple[str, ...] = Field((), strict=False, description="one of these error classes (timeout, dns …)")
    message_ids: tuple[str, ...] = Field((), strict=False, max_length=10_000)
    headers: dict[str, str] = Field(default_factory=dict, description="all of these headers, with these values")
    since: Moment | None = Field(None)
    until: Moment | None = Field(None)


class ReplayRequest(Model):
    """Body of `POST /replayDeadLetters`."""

    queue_name: OpenQueueName = Field(description="the queue that the dead letters came from", examples=["orders"])
    dead_letter_queue: QueueName | None = Field(
        None, description="the queue that holds them; defaults to <queueName>.dlq"
    )
    filter: DeadLetterFilter = DeadLetterFilter()
    limit: int | None = Field(None, ge=1, description="maximum number of messages")
    per_second: float | None = Field(None, gt=0, le=100_000, description="maximum number of messages per second")
    dry_run: bool = Field(False, description="only count the messages to replay")


class Replay(Model):
    """The progress of a replay. Of `total` dead letters, `examined` were read and `matched` match the filter; `failed`
    of these could not be published and stay in the dead-letter queue. `skipped` dead letters match, too, but stay: they
    came from queues that the API key may not use or that the service reserves. `interrupted`: the process ended; the
    other messages are still in the dead-letter queue, so start another replay to continue."""

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
    """Return whether a dead letter with these headers and this message id matches the filter."""
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
    """Return the time in a header; `_NEVER` if it is malformed or has no zone, as in a header forged by a publisher."""
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return _NEVER
    return _NEVER if moment.tzinfo is None else moment

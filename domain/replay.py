"""Replays, moves and deletions of dead letters: their requests, their filter and their progress."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from domain.dead_letter import MAX_EXAMINED, cause_of, died_at
from domain.model import Model
from domain.moment import Moment
from domain.names import OpenQueueName, QueueName

Status = Annotated[int, Field(ge=100, le=599)]


class DeadLetterFilter(Model):
    """Selects dead letters that match every given field. `since` and `until` refer to the last failed attempt."""

    group: tuple[str, ...] = Field(
        (), strict=False, max_length=1000, description="one of these groups of `GET /getDeadLetters`"
    )
    status: tuple[Status, ...] = Field((), strict=False, description="one of these HTTP statuses")
    error: tuple[str, ...] = Field((), strict=False, description="one of these error classes (timeout, dns …)")
    message_ids: tuple[str, ...] = Field((), strict=False, max_length=10_000)
    headers: dict[str, str] = Field(default_factory=dict, description="all of these headers, with these values")
    since: Moment | None = Field(None)
    until: Moment | None = Field(None)


EVERY = DeadLetterFilter()


class DeadLetterSelection(Model):
    """Base of the requests: the dead letters that they are about."""

    queue_name: OpenQueueName = Field(description="the queue that the dead letters came from", examples=["orders"])
    dead_letter_queue: QueueName | None = Field(
        None, description="the queue that holds them; defaults to <queueName>.dlq"
    )
    filter: DeadLetterFilter = EVERY
    limit: int | None = Field(None, ge=1, description="maximum number of messages")
    per_second: float | None = Field(None, gt=0, le=100_000, description="maximum number of messages per second")
    dry_run: bool = Field(
        False, description=f"only count the messages, of the first {MAX_EXAMINED} in the dead-letter queue"
    )


class ReplayRequest(DeadLetterSelection):
    """Body of `POST /replayDeadLetters`."""

    replacement: str | None = Field(
        None, max_length=4 * 2**20, description="new body of the one message that `filter.messageIds` names"
    )

    @model_validator(mode="after")
    def _one_replacement(self) -> ReplayRequest:
        if self.replacement is not None and len(self.filter.message_ids) != 1:
            raise ValueError("replacement requires exactly one id in filter.messageIds")
        return self


class MoveRequest(DeadLetterSelection):
    """Body of `POST /moveDeadLetters`."""

    to_queue: OpenQueueName = Field(description="the queue to move the dead letters to", examples=["orders.parked"])


class DeleteRequest(DeadLetterSelection):
    """Body of `POST /deleteDeadLetters`."""


class ReplayDestination(Model):
    """The number of selected messages that go to a queue."""

    queue_name: str
    messages: int


class Replay(Model):
    """The progress of a replay, a move or a deletion, as `action` says. Of `total` dead letters, `examined` were read
    and `matched` match the filter. `replayed` counts those that are replayed, moved or deleted. The broker confirmed no
    copy of the `failed` ones, which stay in the dead-letter queue; `reason` is that of the last failure. `skipped` dead
    letters match, too, but stay: they came from queues that the API key may not use or that the service reserves.
    `interrupted`: the process ended; the other messages are still in the dead-letter queue, so start another replay to
    continue. A dry run names the `destinations` of the messages, and `warnings` if they would fail again."""

    action: Literal["replay", "move", "delete"] = "replay"
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
    destinations: list[ReplayDestination] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    started_at: datetime
    updated_at: datetime


def fits(wanted: DeadLetterFilter, headers: Mapping[str, Any], message_id: str | None) -> bool:
    """Return whether a dead letter with these headers and this message id matches the filter."""
    failed_at = died_at(headers) or _NEVER
    return (
        (not wanted.status or headers.get("workerrmq-status") in wanted.status)
        and (not wanted.error or headers.get("workerrmq-error") in wanted.error)
        and (not wanted.message_ids or message_id in wanted.message_ids)
        and all(str(headers.get(name)) == value for name, value in wanted.headers.items())
        and (wanted.since is None or failed_at >= wanted.since)
        and (wanted.until is None or failed_at < wanted.until)
        and (not wanted.group or cause_of(headers).group in wanted.group)
    )


_NEVER = datetime.fromisoformat("0001-01-01T00:00:00+00:00")

"""The life of one message, as far as the service knows it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from domain.attempt import AttemptDetails, Result
from domain.model import Model

PlaceState = Literal[
    "scheduled",
    "queued",
    "waiting",
    "deadLettered",
    "delivered",
    "forwarded",
    "discarded",
    "routed",
    "moved",
    "deleted",
    "purged",
]


class MessagePlace(Model):
    """The message in one queue. `scheduled`: it arrives there at `dueAt`; `queued`: it waits there, or a worker has it;
    `waiting`: for its retry, at `dueAt`; `purged`: the queue that held it was purged or deleted. Dead letters, routed
    and moved messages are in `destination`, null if only RabbitMQ knows the queue. `found` says whether a look found it
    there; null without a look."""

    queue_name: str
    state: PlaceState
    since: datetime
    due_at: datetime | None = None
    destination: str | None = None
    found: bool | None = None


class MessageEvent(Model):
    """One event in the life of a message, as a sentence (`text`). `by` is the user or API key that caused it, as far as
    known. Events of the attempt log have the `attempt`."""

    at: datetime
    event: Literal["published", "scheduled", "deadLettered", "purged"] | Result
    queue_name: str | None = None
    by: str | None = None
    text: str
    attempt: AttemptDetails | None = None


class MessageLife(Model):
    """`places` has one entry for each queue in which the message was, the latest first. `events` are in the order of
    time. `notes` are sentences that say what is not known."""

    message_id: str
    places: list[MessagePlace]
    events: list[MessageEvent]
    notes: list[str] = Field(default_factory=list)

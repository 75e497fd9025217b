"""Conditions that operators must know about, and the service events about their beginnings and ends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

Kind = Literal["consumer.suspended", "breaker.opened", "deadletters.grew", "retries.overdue", "worker.none"]
"""The kinds of conditions; also the types of the events about their beginnings."""


class Key(NamedTuple):
    """Identifies a condition. `subject` is the id of a consumer or the name of a queue; empty for the whole service."""

    kind: Kind
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Observed:
    """A condition that holds now, or whose `level` may have grown. `level` is the number of dead letters in a queue,
    and 1 for all other kinds. `name` and `queue_name` describe the subject, `reason` is a sentence."""

    level: int = 1
    name: str = ""
    queue_name: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """A condition has begun or ended. `id` is unique, and stays the same if the event is published again. `incident` is
    the same for a beginning and its end. Times are in Unix seconds; `since` is that of the beginning."""

    id: str
    kind: Kind
    ended: bool
    incident: str
    time: float
    since: float
    name: str
    queue_name: str | None
    summary: str

    @property
    def type(self) -> str:
        """The CloudEvents type, which is also the routing key."""
        return f"{self.kind}.ended" if self.ended else self.kind


@dataclass(frozen=True, slots=True)
class Condition:
    """The stored state of a condition. While it is `raised`, the event of its beginning exists. `turning_since` (Unix
    seconds) is the first of the latest observations that differ from `raised`; None if the last one agreed.

    `level` is the number of dead letters that are not new. `begun` is the event about the beginning, while raised.
    `outbox` are the events to publish, the oldest first. `revision` grows with each change in the store; 0: not
    stored."""

    raised: bool = False
    level: int = 0
    turning_since: float | None = None
    begun: Event | None = None
    outbox: tuple[Event, ...] = ()
    revision: int = 0

    @property
    def blank(self) -> bool:
        """Whether nothing of it needs to be stored."""
        return replace(self, revision=0) == Condition()

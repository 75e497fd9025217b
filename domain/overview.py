"""What is going on now, at a glance, and above all what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from domain.consumer_details import State
from domain.model import Model
from domain.registry import Desired

TroubleKind = Literal[
    "broker_unavailable",
    "no_worker",
    "consumer_suspended",
    "breaker_open",
    "consumer_failing",
    "dead_letters",
    "queue_unconsumed",
    "consumer_waiting",
    "connection_blocked",
]
"""The worst first."""


class Trouble(Model):
    """One thing that is wrong now. `name` is that of the consumer, queue or connection, `reason` a sentence, `messages`
    how many wait because of it, `since` when it was last seen to go wrong."""

    kind: TroubleKind
    name: str
    queue_name: str | None = None
    reason: str
    messages: int | None = None
    since: datetime | None = None


class QueueTotals(Model):
    """All queues together. Counts are messages, rates messages per second. `retries` wait in the service's own delay
    levels, whose queues and rates do not count; `deadLetters` are part of `messages`."""

    queues: int
    messages: int
    ready: int
    unacked: int
    dead_letters: int
    retries: int
    publish_rate: float
    deliver_rate: float
    ack_rate: float


class Overview(Model):
    """`consumers` counts them by state; `totals` is null while the broker cannot be asked. `troubles` are the worst
    hundred of `troubleCount`."""

    at: datetime
    workers: int
    consumers: dict[State, int]
    totals: QueueTotals | None
    troubles: list[Trouble]
    trouble_count: int


@dataclass(frozen=True, slots=True)
class ConsumerOutline:
    """As much of a registered consumer as tells whether it is as it should be."""

    id: str
    name: str
    queue_name: str
    desired: Desired
    reason: str | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class QueueOutline:
    """As much of a queue as tells whether it is stuck. `dead_letter_queue` is the one that its arguments name."""

    name: str
    ready: int
    unacked: int
    consumers: int
    publish_rate: float
    deliver_rate: float
    ack_rate: float
    dead_letter_queue: str | None

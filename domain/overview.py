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
    "copies_refused",
    "retries_overdue",
    "dead_lettering_stuck",
    "breaker_open",
    "consumer_failing",
    "dead_letters",
    "queue_unconsumed",
    "queue_growing",
    "consumer_waiting",
    "connection_blocked",
    "certificate_expires",
]
"""The worst first."""


class Trouble(Model):
    """One thing that is wrong now. `name` is that of the consumer, queue or connection, `reason` a sentence, `messages`
    how many wait because of it, `since` when it was last seen to go wrong. `oldestMessageAt` is as that of a queue."""

    kind: TroubleKind
    name: str
    queue_name: str | None = None
    reason: str
    messages: int | None = None
    since: datetime | None = None
    oldest_message_at: datetime | None = None


class QueueTotals(Model):
    """All queues together. Counts are messages, rates messages per second. `retries` are in the service's own delay
    levels, whose queues and rates do not count. Of these, `retriesOverdue` have waited long enough, but are not back
    in their queues yet. Both are null while RabbitMQ does not tell. `deadLetters` are part of `messages`."""

    queues: int
    messages: int
    ready: int
    unacked: int
    dead_letters: int
    retries: int | None
    retries_overdue: int | None
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
    certificate_expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class QueueOutline:
    """As much of a queue as tells whether it is stuck. `dead_letter_queue` is the one that its arguments name.

    `held` are all messages in it. Of these, `dead_lettering` have expired or been rejected, and RabbitMQ has not passed
    them on yet (https://www.rabbitmq.com/docs/quorum-queues#dead-lettering); `ready` and `unacked` do not count them.
    Where retries wait whose delay is over, they are all messages.
    Both are None while RabbitMQ does not tell, as for a queue without a leader. A classic queue has none to tell.
    `oldest_at` is when the first message that is ready was published, None where that is not known.
    """

    name: str
    held: int | None
    ready: int
    unacked: int
    dead_lettering: int | None
    consumers: int
    publish_rate: float
    deliver_rate: float
    ack_rate: float
    dead_letter_queue: str | None
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class Growth:
    """How many `messages` a queue holds more than `seconds` ago."""

    messages: int
    seconds: float


@dataclass(frozen=True, slots=True)
class QueuesSeen:
    """All queues now, and what looks at them over time have shown. `growing` are the queues that hold more and more
    messages, by name. `stuck` are those where messages stay that RabbitMQ should have dead-lettered, with their number;
    None where RabbitMQ does not tell it of a delay level."""

    queues: list[QueueOutline]
    growing: dict[str, Growth]
    stuck: dict[str, int | None]

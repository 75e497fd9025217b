"""The overview of the service: counts, rates, and the current problems."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from domain.consumer_details import State
from domain.model import Model
from domain.problem import Acknowledgement
from domain.registry import Desired

TroubleKind = Literal[
    "broker_unavailable",
    "no_worker",
    "consumer_suspended",
    "copies_refused",
    "retries_overdue",
    "scheduled_overdue",
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
"""Kinds of problems, the most severe first."""


TroubleCause = Literal[
    "credentials",
    "definition",
    "certificate",
    "target_refuses",
    "target_fails",
    "target_throttles",
    "paused",
    "no_consumer",
    "queue_missing",
    "slow",
]
"""Causes that an action of the user removes: other credentials, another definition of the consumer …"""


class Trouble(Model):
    """One current problem. `name` is the name of the consumer, queue or connection, `reason` a sentence, `messages` the
    number of messages that wait because of it, `since` its start or the time at which the service first observed it.
    `oldestMessageAt` is that of the queue, `nextAttemptAt` that of the consumer. `cause` tells programs which action
    fixes the problem; null if no action of a user can. `acknowledged` has the user who acknowledged it, with a note."""

    kind: TroubleKind
    name: str
    queue_name: str | None = None
    reason: str
    messages: int | None = None
    since: datetime | None = None
    next_attempt_at: datetime | None = None
    oldest_message_at: datetime | None = None
    cause: TroubleCause | None = None
    acknowledged: Acknowledgement | None = None


class QueueTotals(Model):
    """Sums over all queues; `queues` does not count the service's own. Counts are messages, rates are messages per
    second. `retries` and `scheduled` are the messages in the delay levels, which the other counts and rates exclude.
    `retriesOverdue` counts the retries whose delay is over, but that are not back in their queues; `scheduledOverdue`
    counts the scheduled messages that RabbitMQ should have forwarded, but has not. A scheduled message that has left
    the levels counts as an overdue retry until it is in its queue. These four are null while RabbitMQ does not report
    them. `messages` includes `deadLetters`."""

    queues: int
    messages: int
    ready: int
    unacked: int
    dead_letters: int
    retries: int | None
    retries_overdue: int | None
    scheduled: int | None
    scheduled_overdue: int | None
    publish_rate: float
    deliver_rate: float
    ack_rate: float


class Overview(Model):
    """`consumers` counts the consumers in each state. `totals` is null while RabbitMQ's management API is down.
    `troubles` lists the most severe hundred of `troubleCount` problems."""

    at: datetime
    workers: int
    consumers: dict[State, int]
    totals: QueueTotals | None
    troubles: list[Trouble]
    trouble_count: int


@dataclass(frozen=True, slots=True)
class ConsumerOutline:
    """The fields of a registered consumer that show whether it has a problem. `refused_status` is the HTTP status for
    which a worker has suspended it."""

    id: str
    name: str
    queue_name: str
    desired: Desired
    reason: str | None
    updated_at: datetime
    certificate_expires_at: datetime | None = None
    refused_status: int | None = None


@dataclass(frozen=True, slots=True)
class QueueOutline:
    """The fields of a queue that show whether it has a problem. `dead_letter_queue` is the one that its arguments name.

    `held` counts all messages in it. Of these, `dead_lettering` have expired or been rejected, and RabbitMQ has not
    dead-lettered them yet (https://www.rabbitmq.com/docs/quorum-queues#dead-lettering); `ready` and `unacked` exclude
    them. In the queue of due retries, all messages count as `dead_lettering`. Both are None while RabbitMQ does not
    report them, for example for a queue without a leader. `dead_lettering` is also None for a classic queue.
    `counted` are the messages published to it, delivered and acked, as RabbitMQ has counted them since its start.
    `oldest_at` is the time at which the first ready message was published, or None if unknown.
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
    counted: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Growth:
    """The number of `messages` by which a queue has grown in the last `seconds`."""

    messages: int
    seconds: float


@dataclass(frozen=True, slots=True)
class QueuesSeen:
    """All queues now, and trends since earlier readings. `growing` has the queues that grow, by name. `stuck` has the
    queues with messages that RabbitMQ should have dead-lettered, and their number; None if RabbitMQ does not report the
    number of a delay level."""

    queues: list[QueueOutline]
    growing: dict[str, Growth]
    stuck: dict[str, int | None]

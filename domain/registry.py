"""A consumer as the registry holds it (desired state), and as a worker reports it (actual state)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from domain.consumer import ConsumerSpec
from domain.counts import ConsumerCounts
from domain.queue_scope import QueueScope
from domain.signing_secret import RetiringSecret

Desired = Literal["enabled", "paused", "suspended"]
"""`paused` by a person, `suspended` by a worker that keeps getting answers that mean misconfiguration."""

Actual = Literal[
    "starting",
    "running",
    "waiting",
    "standby",
    "resting",
    "breaker-open",
    "throttled",
    "probing",
    "failing",
    "suspended",
    "draining",
]
"""`waiting`: for its queue or the broker; `standby`: another worker runs it, and order allows but one; `resting`:
between two answers that mean misconfiguration; `breaker-open`: the circuit breaker of its target is open; `throttled`:
its target asked for a pause; `probing`: one message tries the target; `failing`: running, and the last answer was not a
success."""


@dataclass(frozen=True, slots=True)
class RegisteredConsumer:
    """`revision` grows by one with every change that a worker must act upon; `reason` says why it is suspended.
    `retiring_secrets` are signing secrets that were replaced of late.

    `faults` are the fields whose stored values are not valid, or cannot be unsealed, each with a sentence. Such a
    consumer is suspended, and `spec` is only there to be shown and changed: it has the defaults in their place, and its
    URL is plain text."""

    id: str
    spec: ConsumerSpec
    revision: int
    state: Desired
    reason: str | None
    created_at: datetime
    updated_at: datetime
    retiring_secrets: tuple[RetiringSecret, ...] = ()
    faults: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ConsumerFilter:
    """Which consumers are wanted: those that agree with all that is given, of the queues that `only` admits. `name` is
    a part of the name, in any case; `ids` are the only ones, `not_ids` those that are not."""

    queue_name: str | None = None
    name: str = ""
    desired: Desired | None = None
    ids: frozenset[str] | None = None
    not_ids: frozenset[str] = frozenset()
    only: QueueScope | None = None


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """What the broker says of a queue. `dead_letter` is the exchange and the routing key (None: the message's own) that
    it names for its dead letters, or None when it names none; `single_active` whether it serves one consumer at a time
    (https://www.rabbitmq.com/docs/consumers#single-active-consumer). It drops a message that comes back more often than
    `delivery_limit` (https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling); None: it drops none.
    `known` is false for a queue that is missing, or not yet described. `described` is false while RabbitMQ's management
    API is down: the rest is a guess then, but deliveries go on."""

    type: str = "classic"
    dead_letter: tuple[str, str | None] | None = None
    single_active: bool = False
    delivery_limit: int | None = None
    auto_delete: bool = False
    exclusive: bool = False
    expires: bool = False
    known: bool = True
    described: bool = True

    @property
    def vanishes(self) -> bool:
        """Whether RabbitMQ deletes the queue, with its messages, when it has no consumer."""
        return self.auto_delete or self.expires

    @property
    def unfit(self) -> str | None:
        """Why no consumer may take the queue's messages, in a sentence; None when one may."""
        if self.type == "stream":
            return "The queue is a stream, which consumers do not support. Use a classic or a quorum queue."
        if self.exclusive:
            return "The queue is exclusive to another connection, and RabbitMQ deletes it with that connection."
        if self.auto_delete:
            return (
                "The queue is auto-delete: RabbitMQ deletes it, with its messages, whenever its last consumer leaves, "
                "as when a worker restarts. Use a queue without autoDelete; `expires` removes an unused one."
            )
        return None


UNKNOWN_QUEUE = QueueFacts(known=False)
"""A queue that the broker has not described yet, or that is missing."""

UNDESCRIBED_QUEUE = QueueFacts(type="unknown", described=False)
"""What is known of a queue while RabbitMQ's management API is down."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a worker runs: an enabled consumer, what the broker says of its queue, and this worker's share of what is
    limited for all of them."""

    id: str
    revision: int
    spec: ConsumerSpec
    queue: QueueFacts = QueueFacts()
    share: float = 1.0
    retiring_secrets: tuple[RetiringSecret, ...] = ()


@dataclass(frozen=True, slots=True)
class Report(ConsumerCounts):
    """The report of one worker process on one consumer: its state, and its counts since that process started it."""

    consumer_id: str
    revision: int
    state: Actual
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What one worker process says of itself, every second or so. `worker` is `host:pid`-like and unique."""

    worker: str
    at: datetime
    started_at: datetime
    connected: bool
    consumers: tuple[Report, ...]

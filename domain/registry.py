"""A consumer in the registry (desired state) and in a worker's report (actual state)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from domain.consumer import ConsumerSpec
from domain.counts import ConsumerCounts
from domain.queue_scope import QueueScope
from domain.signing_secret import RetiringSecret

Desired = Literal["enabled", "paused", "suspended"]
"""`paused`: by a user; `suspended`: by a worker, after repeated refusals by the target."""

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
"""`waiting`: for its queue or the broker; `standby`: another worker has the queue of this ordered consumer; `resting`:
pausing after a refusal; `breaker-open`: the circuit breaker of its target is open; `throttled`: its target asked for a
pause; `probing`: one message probes the target; `failing`: running, but the last answer was not a success."""


@dataclass(frozen=True, slots=True)
class RegisteredConsumer:
    """`revision` grows by one with every change that a worker must act on; `reason` says why the consumer is suspended.
    `retiring_secrets` are replaced signing secrets that still sign. `router` is the name of the consumer that has this
    one as a route.

    `faults` are the fields whose stored values are invalid or cannot be unsealed, each with a sentence. A consumer with
    faults is suspended. Its `spec` serves only to show and change it: those fields have their defaults, and the URL is
    plain text."""

    id: str
    spec: ConsumerSpec
    revision: int
    state: Desired
    reason: str | None
    created_at: datetime
    updated_at: datetime
    retiring_secrets: tuple[RetiringSecret, ...] = ()
    faults: tuple[tuple[str, str], ...] = ()
    router: str | None = None


@dataclass(frozen=True, slots=True)
class ConsumerFilter:
    """Selects consumers that match every given field, of queues that `only` admits. `name` is a part of the consumer's
    name, in any case; `ids`, if given, are the only ids to include; `not_ids` are ids to exclude. `routers` are the
    names of the consumers whose routes to include."""

    queue_name: str | None = None
    name: str = ""
    desired: Desired | None = None
    ids: frozenset[str] | None = None
    not_ids: frozenset[str] = frozenset()
    only: QueueScope | None = None
    routers: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """A queue's properties as the broker reports them. `dead_letter` is its dead-letter exchange and routing key (None:
    the message's own), or None if it has no dead-letter exchange. `single_active`: it serves one consumer at a time
    (https://www.rabbitmq.com/docs/consumers#single-active-consumer). It drops a message that is returned more often
    than `delivery_limit` (https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling); None means no limit.
    `known` is false for a queue that is missing or not yet described. `described` is false while RabbitMQ's management
    API is down: the other fields are guesses then, and deliveries continue."""

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
        """A sentence that says why no consumer may take the queue's messages; None if one may."""
        if self.type == "stream":
            return "The queue is a stream. Consumers do not support streams; use a classic or a quorum queue."
        if self.exclusive:
            return "The queue is exclusive to another connection, and RabbitMQ deletes it with that connection."
        if self.auto_delete:
            return (
                "The queue is auto-delete: RabbitMQ deletes it with its messages when its last consumer cancels, for "
                "example when a worker restarts. Use a queue without autoDelete; `expires` deletes an unused queue."
            )
        return None


UNKNOWN_QUEUE = QueueFacts(known=False)
"""A queue that the broker has not described yet, or that is missing."""

UNDESCRIBED_QUEUE = QueueFacts(type="unknown", described=False)
"""Any queue while RabbitMQ's management API is down."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """An enabled consumer for a worker to run, with its queue's properties. `share` is this worker's share (0 to 1) of
    the limits that apply to all workers together."""

    id: str
    revision: int
    spec: ConsumerSpec
    queue: QueueFacts = QueueFacts()
    share: float = 1.0
    retiring_secrets: tuple[RetiringSecret, ...] = ()


@dataclass(frozen=True, slots=True)
class Report(ConsumerCounts):
    """The report of one worker process on one consumer: its state, and its counts since that process started it. While
    the circuit breaker of its target is open, the next message is sent at `next_attempt_at`."""

    consumer_id: str
    revision: int
    state: Actual
    reason: str | None = None
    next_attempt_at: datetime | None = None

    @property
    def refused_status(self) -> int | None:
        """The HTTP status of the last answer, if it is the last error."""
        return self.last_status if (self.error or "").partition(":")[0] == f"HTTP {self.last_status}" else None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The report of one worker process about itself, about every second. `worker` is unique and similar to
    `host:pid`."""

    worker: str
    at: datetime
    started_at: datetime
    connected: bool
    consumers: tuple[Report, ...]

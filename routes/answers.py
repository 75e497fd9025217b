"""What answers look like that carry no entity of the domain: the usual answer to a change, and the refusal."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict

from domain.model import Model


class Done(Model):
    """What was done, as a sentence."""

    message: str


class QueueDone(Done):
    """What was done to which queue."""

    queue_name: str


class ExchangeDone(Done):
    """What was done to which exchange."""

    exchange: str


class ConnectionDone(Done):
    """What was done to which connection."""

    connection_id: str


class ConsumerDeleted(Done):
    """Which consumer is gone."""

    consumer_id: str
    name: str


class Published(Done):
    """One message is in a queue, or, with `deliverAt`, scheduled until then."""

    message_id: str
    deliver_at: datetime | None = None


class PublishResult(Model):
    """What became of one message of a batch; `code` and `detail` say why it failed. With `deliverAt` a published one is
    scheduled until then."""

    message_id: str
    status: Literal["published", "failed"]
    deliver_at: datetime | None = None
    code: str | None = None
    detail: str | None = None


class BatchPublished(Done):
    """What became of a batch: one result a message, in order."""

    published: int
    failed: int
    results: list[PublishResult]


class Alive(Model):
    """The process answers."""

    status: Literal["alive"]


class DependencyState(Model):
    """Whether it answered, after how many milliseconds, and else why not."""

    up: bool
    milliseconds: float
    detail: str | None


class WorkersState(Model):
    """How many worker processes live, on all hosts, and how many seconds ago the latest and the longest silent of them
    was heard of; `detail` says so when consumers are enabled and nobody runs them."""

    live: int
    enabled_consumers: int
    latest_heartbeat_seconds: float | None
    oldest_heartbeat_seconds: float | None
    detail: str | None


class Ready(Model):
    """Everything that the service needs answers. `workers` is null when the store has not told in time."""

    status: Literal["ready"]
    dependencies: dict[str, DependencyState]
    workers: WorkersState | None


class FieldProblem(Model):
    """What is wrong with one field: its dotted path, and a sentence."""

    field: str
    detail: str


class Problem(Model):
    """A refusal (RFC 9457). `code` is stable and for programs, `detail` says what to change, `errors` names the fields
    that are wrong, `requestId` finds it in the log."""

    model_config = ConfigDict(extra="allow")  # RFC 9457 §3.2: further members

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: list[FieldProblem]

"""Answers that contain no domain object: the results of changes, health states and error bodies."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict

from domain.model import Model
from services.health import DependencyState, WorkersState


class Done(Model):
    """The result of an operation, as a sentence."""

    message: str


class QueueDone(Done):
    """The result of an operation on a queue."""

    queue_name: str


class ExchangeDone(Done):
    """The result of an operation on an exchange."""

    exchange: str


class PolicyDone(Done):
    """The result of an operation on a policy."""

    name: str


class ConnectionDone(Done):
    """The result of an operation on a connection."""

    connection_id: str


class ConsumerDeleted(Done):
    """The consumer that was deleted."""

    consumer_id: str
    name: str


class Published(Done):
    """The message was published: it is in a queue. With `deliverAt`, it is scheduled for that time."""

    message_id: str
    deliver_at: datetime | None = None


class PublishResult(Model):
    """The result of one message of a batch. If it failed, `code` and `detail` give the reason. A published message with
    `deliverAt` is scheduled for that time."""

    message_id: str
    status: Literal["published", "failed"]
    deliver_at: datetime | None = None
    code: str | None = None
    detail: str | None = None


class BatchPublished(Done):
    """The result of a batch, with one entry in `results` per message, in the order of the request."""

    published: int
    failed: int
    results: list[PublishResult]


class Alive(Model):
    """The process is alive."""

    status: Literal["alive"]


class Ready(Model):
    """All dependencies are up. `workers` is null when the store did not answer in time."""

    status: Literal["ready"]
    dependencies: dict[str, DependencyState]
    workers: WorkersState | None


class FieldProblem(Model):
    """An error in one field: its dotted path, and a description."""

    field: str
    detail: str


class Problem(Model):
    """An error (RFC 9457). `code` is stable and meant for programs, `detail` says what to change, `errors` lists the
    invalid fields, and `requestId` identifies the request in the log."""

    model_config = ConfigDict(extra="allow")  # RFC 9457 §3.2: extension members

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: list[FieldProblem]

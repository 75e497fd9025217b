"""Scheduled messages: those of a delay level, as RabbitMQ counts them, and one, as the service has published it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from domain.model import Model


class ScheduledLevel(Model):
    """The scheduled messages in one delay level. All are due between `dueFrom` and `dueUntil`; RabbitMQ does not report
    their exact times. `overdue` of them should have left the level. Counts are null while RabbitMQ does not report
    them."""

    level: int
    queue_name: str
    messages: int | None
    overdue: int | None
    due_from: datetime
    due_until: datetime


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A message that the broker has confirmed in its delay level. `queue` is where it goes when it is due, or the
    routing key if it goes to an exchange; `by` is its application id."""

    key: str
    message_id: str
    exchange: str
    queue: str
    at: datetime
    due: datetime
    by: str | None

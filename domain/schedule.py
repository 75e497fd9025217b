"""Scheduled messages that wait, as RabbitMQ counts them."""

from __future__ import annotations

from datetime import datetime

from domain.model import Model


class ScheduledLevel(Model):
    """Scheduled messages that wait in a delay level. Each is due between `dueFrom` and `dueUntil`: RabbitMQ counts the
    messages of a level, and does not tell their times. `overdue` are those of them that RabbitMQ should have passed on.
    Counts are null while RabbitMQ does not tell."""

    level: int
    queue_name: str
    messages: int | None
    overdue: int | None
    due_from: datetime
    due_until: datetime

"""The scheduled messages of a delay level, as RabbitMQ counts them."""

from __future__ import annotations

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

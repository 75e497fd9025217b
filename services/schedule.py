"""Scheduled messages: their number per delay level, and the time range in which they are due."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from operator import itemgetter

from delivery.delays import longest_wait
from domain.details import Page, ScheduledLevel
from domain.overview import QueueOutline
from domain.selection import Selection
from gateway.amqp.topology import scheduled_level
from services.selecting import selected


class Schedule:
    """Thread-safe."""

    def __init__(self, read: Callable[[], list[QueueOutline]]) -> None:
        """`read` returns all queues. It raises BrokerUnavailable."""
        self._read = read

    def page(self, number: int, size: int) -> Page[ScheduledLevel]:
        """Return one page of the levels that hold scheduled messages, the lowest first. Raises BrokerUnavailable."""
        now = datetime.now(UTC)
        levels = [(level, queue) for queue in self._read() if (level := scheduled_level(queue.name)) is not None]
        waiting = [_waiting(level, queue, now) for level, queue in sorted(levels, key=itemgetter(0)) if queue.held != 0]
        return selected(waiting, Selection(number, size), lambda one: [one.queue_name])


def _waiting(level: int, queue: QueueOutline, now: datetime) -> ScheduledLevel:
    return ScheduledLevel(
        level=level,
        queue_name=queue.name,
        messages=queue.held,
        overdue=queue.dead_lettering,
        due_from=now,
        due_until=now + timedelta(seconds=longest_wait(level)),
    )

"""The queues in which retries and scheduled messages wait: sums over them, and the scheduled messages by level."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from delivery.delays import longest_wait
from domain.details import ScheduledLevel
from domain.overview import QueueOutline
from gateway.amqp.topology import holds_delayed, scheduled_level


class Delayed(NamedTuple):
    """Numbers of messages; None if RabbitMQ does not report them all. An overdue message has waited long enough."""

    retries: int | None
    retries_overdue: int | None
    scheduled: int | None
    scheduled_overdue: int | None


def delayed(queues: Sequence[QueueOutline]) -> Delayed:
    """Return the sums over the service's own queues among `queues`."""
    waiting = [queue for queue in queues if holds_delayed(queue.name)]
    scheduled = [queue for queue in waiting if scheduled_level(queue.name) is not None]
    retries = [queue for queue in waiting if scheduled_level(queue.name) is None]
    return Delayed(
        known_sum(queue.held for queue in retries),
        known_sum(queue.dead_lettering for queue in retries),
        known_sum(queue.held for queue in scheduled),
        known_sum(queue.dead_lettering for queue in scheduled),
    )


def scheduled_levels(queues: Sequence[QueueOutline], now: datetime) -> list[ScheduledLevel]:
    """Return the levels that hold scheduled messages, the lowest first, with the time range in which these are due."""
    levels = {level: queue for queue in queues if (level := scheduled_level(queue.name)) is not None}
    return [
        ScheduledLevel(
            level=level,
            queue_name=queue.name,
            messages=queue.held,
            overdue=queue.dead_lettering,
            due_from=now,
            due_until=now + timedelta(seconds=longest_wait(level)),
        )
        for level, queue in sorted(levels.items())
        if queue.held != 0
    ]


def known_sum(counts: Iterable[int | None]) -> int | None:
    """Return the sum, or None if one of the counts is unknown."""
    counts = list(counts)
    return None if None in counts else sum(count for count in counts if count is not None)

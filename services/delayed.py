"""Sums over the queues in which retries and scheduled messages wait."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

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


def known_sum(counts: Iterable[int | None]) -> int | None:
    """Return the sum, or None if one of the counts is unknown."""
    counts = list(counts)
    return None if None in counts else sum(count for count in counts if count is not None)

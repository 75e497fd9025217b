"""How near a message is to the delivery limit of its queue.

RabbitMQ counts in `x-delivery-count` how often a quorum queue has had a message back, and drops or dead-letters it when
that is more than the limit (https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.registry import QueueFacts

COUNTING_HEADERS = ("x-delivery-count", "x-acquired-count")

LOOK_MARGIN = 2
"""Returns that are left to a message after a look, because the process may die while it looks."""

_SPARED = 3
"""Returns of a limit that deliveries leave unused, at most."""


def times_returned(headers: Mapping[str, Any] | None) -> int:
    """How often a quorum queue has had the message back (https://www.rabbitmq.com/docs/quorum-queues#feature-matrix)."""
    count = headers.get("x-delivery-count", 0) if headers else 0
    return count if isinstance(count, int) else 0


def look_wears_out(headers: Mapping[str, Any] | None, limit: int | None) -> bool:
    """Whether one more return brings the message closer than LOOK_MARGIN to the limit of its queue."""
    return limit is not None and times_returned(headers) + 1 > limit - LOOK_MARGIN


def near_limit(headers: Mapping[str, Any] | None, queue: QueueFacts) -> bool:
    """Whether the queue may drop the message after a few more returns. Some returns are spared for those that nobody
    sees: a worker is killed, a message arrives while its channel closes. A queue that is not described yet may have any
    limit if it counts returns at all."""
    if not queue.described:
        return headers is not None and "x-delivery-count" in headers
    limit = queue.delivery_limit
    return limit is not None and times_returned(headers) >= limit - max(1, min(_SPARED, limit // 4))

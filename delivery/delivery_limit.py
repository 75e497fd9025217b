"""Tells how close a message is to the delivery limit of its queue.

RabbitMQ counts in `x-delivery-count` how often a message was returned to its quorum queue. It drops or dead-letters the
message when the count exceeds the limit (https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.registry import QueueFacts

COUNTING_HEADERS = ("x-delivery-count", "x-acquired-count")

LOOK_MARGIN = 2
"""Returns that a look leaves to a message, because the process may be killed while it looks."""

_SPARED = 3
"""Maximum number of returns that deliveries leave unused."""


def times_returned(headers: Mapping[str, Any] | None) -> int:
    """Return how often the message was returned to its quorum queue
    (https://www.rabbitmq.com/docs/quorum-queues#feature-matrix)."""
    count = headers.get("x-delivery-count", 0) if headers else 0
    return count if isinstance(count, int) else 0


def look_wears_out(headers: Mapping[str, Any] | None, limit: int | None) -> bool:
    """Return whether one more return leaves the message fewer than LOOK_MARGIN returns before its queue's limit."""
    return limit is not None and times_returned(headers) + 1 > limit - LOOK_MARGIN


def near_limit(headers: Mapping[str, Any] | None, queue: QueueFacts) -> bool:
    """Return whether the queue may drop the message after a few more returns.

    Some returns stay unused for those that a worker cannot prevent: when it is killed, or when a message arrives while
    its channel closes. A queue that is not described may have any limit, if it counts returns at all.
    """
    if not queue.described:
        return headers is not None and "x-delivery-count" in headers
    limit = queue.delivery_limit
    return limit is not None and times_returned(headers) >= limit - max(1, min(_SPARED, limit // 4))

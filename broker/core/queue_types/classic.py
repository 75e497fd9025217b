"""Classic queues (RabbitMQ docs: classic-queues)."""

from __future__ import annotations

from broker.core.message import Entry
from broker.core.positions import Positions
from broker.core.queue_types.base import QueueType


class Classic(QueueType):
    """`x-queue-type: classic`, the default type."""

    name = "classic"
    stores_transient = False
    counts_deliveries = False
    refuses_ahead = True
    declaring_renews = True
    unacked_hold = False
    server_named = True
    supports_global_prefetch = True
    unsupported_properties = frozenset()
    unsupported_consumer_arguments = frozenset({"x-stream-offset"})

    def requeue(self, entry: Entry, by_client: bool, delivery_limit: int | None, positions: Positions) -> bool:
        """Keep the entry's position: classic queues do not count deliveries."""
        return True

"""Queue types, one small file each (RabbitMQ docs: classic-queues, quorum-queues)."""

from broker.core.queue_types.base import QueueType
from broker.core.queue_types.classic import Classic
from broker.core.queue_types.quorum import Quorum

TYPES: dict[str, QueueType] = {kind.name: kind for kind in (Classic(), Quorum())}

__all__ = ["TYPES", "Classic", "QueueType", "Quorum"]
"""The types by the value of `x-queue-type`."""

"""Quorum queues (RabbitMQ docs: quorum-queues)."""

from __future__ import annotations

from broker.core.message import Entry
from broker.core.positions import Positions
from broker.core.queue_types.base import QueueType


class Quorum(QueueType):
    """`x-queue-type: quorum`: always durable.

    Declaring the queue again and publishing to it do not renew its lease: only consumers and basic.get do
    (rabbitmq-server #5894; the same on RabbitMQ 3.10.8 and 4.0.5).
    """

    name = "quorum"
    stores_transient = True
    counts_deliveries = True
    refuses_ahead = False
    declaring_renews = False
    unacked_hold = True
    server_named = False
    supports_global_prefetch = False
    unsupported_properties = frozenset({"auto-delete", "exclusive-owner", "non-durable"})
    unsupported_consumer_arguments = frozenset({"x-stream-offset", "x-cancel-on-ha-failover"})

    def requeue(self, entry: Entry, by_client: bool, delivery_limit: int | None, positions: Positions) -> bool:
        """Count the delivery. A message that its client returns goes to the end if the queue has no delivery limit; all
        others go to the front, behind those that returned earlier (RabbitMQ docs: quorum-queues § poison messages).
        """
        entry.deliveries += 1
        if delivery_limit is not None and entry.deliveries > delivery_limit:
            return False
        if by_client and delivery_limit is None:
            entry.position = positions.next_at_end()
        else:
            entry.position = positions.next_at_front()
        return True

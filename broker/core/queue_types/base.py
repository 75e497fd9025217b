"""The rules that differ between queue types."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from broker.core.message import Entry
from broker.core.positions import Positions


class QueueType(ABC):
    """A queue type. It has no state: all queues of the type share it."""

    name: ClassVar[str]
    stores_transient: ClassVar[bool]
    """Whether a durable queue also stores messages that are not persistent."""
    counts_deliveries: ClassVar[bool]
    """Whether every basic.get-ok carries `x-delivery-count`."""
    refuses_ahead: ClassVar[bool]
    """Whether `reject-publish` refuses the message that would exceed the limit, or only those after it."""
    declaring_renews: ClassVar[bool]
    """Whether declaring the queue again renews its `x-expires` lease."""
    unacked_hold: ClassVar[bool]
    """Whether an unacked message holds the `x-expires` lease, as a consumer does."""
    server_named: ClassVar[bool]
    """Whether the broker may choose the name."""
    supports_global_prefetch: ClassVar[bool]
    unsupported_properties: ClassVar[frozenset[str]]
    """Properties of queue.declare that the type refuses, as RabbitMQ spells them."""
    unsupported_consumer_arguments: ClassVar[frozenset[str]]

    @abstractmethod
    def requeue(self, entry: Entry, by_client: bool, delivery_limit: int | None, positions: Positions) -> bool:
        """Count and place a returned entry. Return False if it has reached the delivery limit and must leave the queue.

        `by_client` is False when the entry returns because its channel has closed.
        """

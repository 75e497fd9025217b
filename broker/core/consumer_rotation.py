"""The order in which a queue serves its consumers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.core.consumer import Consumer


class ConsumerRotation:
    """Consumers by priority, round-robin within a priority (RabbitMQ docs: consumer-priority).

    A consumer that cannot take a message is left out until `wake`, so that a thousand blocked consumers do not slow
    down a delivery. With `single`, only the first consumer is served (RabbitMQ docs: consumers § single active).
    """

    def __init__(self, single: bool) -> None:
        self._single = single
        self._by_priority: dict[int, deque[Consumer]] = {}
        self._priorities: list[int] = []
        self.all: list[Consumer] = []

    def __len__(self) -> int:
        return len(self.all)

    def __iter__(self) -> Iterator[Consumer]:
        return iter(self.all)

    def add(self, consumer: Consumer) -> None:
        """Add a new consumer."""
        self.all.append(consumer)
        self._enqueue(consumer)

    def _enqueue(self, consumer: Consumer) -> None:
        consumer.waiting = True
        if consumer.priority not in self._by_priority:
            self._by_priority[consumer.priority] = deque()
            self._priorities = sorted(self._by_priority, reverse=True)
        self._by_priority[consumer.priority].append(consumer)

    def remove(self, consumer: Consumer) -> None:
        """Remove a consumer."""
        self.all.remove(consumer)
        ready = self._by_priority[consumer.priority]
        if consumer in ready:
            ready.remove(consumer)
        if all(other.priority != consumer.priority for other in self.all):
            del self._by_priority[consumer.priority]
            self._priorities = sorted(self._by_priority, reverse=True)

    def wake(self, consumer: Consumer) -> None:
        """Include a consumer that was left out."""
        if not consumer.waiting:
            self._enqueue(consumer)

    def is_active(self, consumer: Consumer) -> bool:
        """Return whether the consumer may be served at all."""
        return not self._single or self.all[0] is consumer

    def next(self) -> Consumer | None:
        """Return the consumer for the next message, or None when all are busy."""
        if self._single:
            return self.all[0] if self.all and self.all[0].can_take() else None
        for priority in self._priorities:
            ready = self._by_priority[priority]
            while ready:
                consumer = ready[0]
                if consumer.can_take():
                    ready.rotate(-1)
                    return consumer
                ready.popleft()
                consumer.waiting = False
        return None

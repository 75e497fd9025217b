"""Whose turn it is: the consumers of one queue."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.core.consumer import Consumer


class Rota:
    """Consumers by priority, in turns within a priority (RabbitMQ docs: consumer-priority).

    One that cannot take a message now is set aside until `wake`, so that a thousand blocked consumers cost a
    delivery nothing. With `single`, only the first in line is served (RabbitMQ docs: consumers § single active).
    """

    def __init__(self, single: bool) -> None:
        self._single = single
        self._lanes: dict[int, deque[Consumer]] = {}
        self._order: list[int] = []
        self.all: list[Consumer] = []

    def __len__(self) -> int:
        return len(self.all)

    def __iter__(self) -> Iterator[Consumer]:
        return iter(self.all)

    def add(self, consumer: Consumer) -> None:
        """Put a new consumer in line."""
        self.all.append(consumer)
        self._line_up(consumer)

    def _line_up(self, consumer: Consumer) -> None:
        consumer.waiting = True
        if consumer.priority not in self._lanes:
            self._lanes[consumer.priority] = deque()
            self._order = sorted(self._lanes, reverse=True)
        self._lanes[consumer.priority].append(consumer)

    def remove(self, consumer: Consumer) -> None:
        """Take a consumer out for good."""
        self.all.remove(consumer)
        lane = self._lanes[consumer.priority]
        if consumer in lane:
            lane.remove(consumer)
        if all(other.priority != consumer.priority for other in self.all):
            del self._lanes[consumer.priority]
            self._order = sorted(self._lanes, reverse=True)

    def wake(self, consumer: Consumer) -> None:
        """A consumer that was set aside may be able to take messages again."""
        if not consumer.waiting:
            self._line_up(consumer)

    def is_active(self, consumer: Consumer) -> bool:
        """Whether the consumer may be served at all."""
        return not self._single or self.all[0] is consumer

    def next(self) -> Consumer | None:
        """The consumer that takes the next message, or None when all are busy."""
        if self._single:
            return self.all[0] if self.all and self.all[0].can_take() else None
        for priority in self._order:
            lane = self._lanes[priority]
            while lane:
                consumer = lane[0]
                if consumer.can_take():
                    lane.rotate(-1)
                    return consumer
                lane.popleft()
                consumer.waiting = False
        return None

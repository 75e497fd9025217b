"""A channel's unsettled deliveries, by delivery tag (AMQP 0-9-1 §1.8.3.13)."""

from __future__ import annotations

from dataclasses import dataclass

from broker.core.consumer import Consumer
from broker.core.message import Entry
from broker.core.queue import Queue
from broker.errors import AmqpError


@dataclass(slots=True)
class Delivery:
    """One delivery. `consumer` is None for basic.get."""

    tag: int
    entry: Entry
    queue: Queue
    consumer: Consumer | None


class UnackedDeliveries:
    """Unsettled deliveries in the order of their tags. `consumed` counts those that use up prefetch."""

    def __init__(self) -> None:
        self._open: dict[int, Delivery] = {}
        self.consumed = 0

    def __len__(self) -> int:
        return len(self._open)

    def add(self, unsettled: Delivery) -> None:
        """Add a delivery."""
        self._open[unsettled.tag] = unsettled
        if unsettled.consumer is not None:
            self.consumed += 1

    def take(self, tag: int, multiple: bool) -> list[Delivery]:
        """Remove and return the delivery of that tag, or all up to it; tag 0 with `multiple` means all. Raises
        AmqpError 406.
        """
        if not multiple:
            found = self._open.pop(tag, None)
            if found is None:
                raise AmqpError(406, f"unknown delivery tag {tag}")
            return [found]
        if not tag:
            return self.take_all()
        if tag not in self._open:
            raise AmqpError(406, f"unknown delivery tag {tag}")
        taken = []
        for known in self._open:
            if known > tag:
                break
            taken.append(known)
        return [self._open.pop(known) for known in taken]

    def take_all(self) -> list[Delivery]:
        """Remove and return every delivery."""
        taken = list(self._open.values())
        self._open.clear()
        return taken

    def settled(self, unsettled: Delivery) -> None:
        """Release the prefetch of a removed delivery."""
        if unsettled.consumer is not None:
            unsettled.consumer.unacked -= 1
            self.consumed -= 1

    def restore(self, taken: list[Delivery]) -> None:
        """Add removed deliveries again."""
        self._open = dict(sorted({**self._open, **{one.tag: one for one in taken}}.items()))

"""Queues: make, look at, empty and delete them. The broker is the only one to know what there is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from domain.details import Page, QueueDetails
from domain.errors import Invalid
from domain.queue import QueueSpec
from domain.queue_scope import QueueScope
from domain.selection import Selection
from gateway.amqp.topology import NO_LEVEL
from gateway.management import QueueGateway

_PAGE = 500  # queues; the most that RabbitMQ gives at once


class Queues:
    """Thread-safe. Every method raises BrokerUnavailable when RabbitMQ cannot be asked."""

    def __init__(self, gateway: QueueGateway) -> None:
        self._gateway = gateway

    def create(self, spec: QueueSpec) -> bool:
        """Whether the queue is new. Raises Conflict when it exists otherwise, saying in what."""
        return self._gateway.declare(spec)

    def page(self, wanted: Selection, only: QueueScope | None = None) -> Page[QueueDetails]:
        """The queues that are asked for, of those that `only` admits; without a pattern all except the delay levels,
        which are our own. Raises Invalid for a pattern that is no regular expression."""
        if not wanted.pattern:
            wanted = replace(wanted, pattern=NO_LEVEL, regex=True)
        if only is None:
            return self._gateway.page(wanted)
        admitted = [queue for queue in self._every(wanted) if only.admits(queue.queue_name)]
        return Page(admitted[(wanted.number - 1) * wanted.size : wanted.number * wanted.size], len(admitted))

    def _every(self, wanted: Selection) -> Iterator[QueueDetails]:
        for number in count(1):
            page = self._gateway.page(replace(wanted, number=number, size=_PAGE))
            yield from page.items
            if number * _PAGE >= page.total:
                return

    def get(self, name: str) -> QueueDetails:
        """One queue. Raises NotFound."""
        return self._gateway.get(name)

    def purge(self, name: str) -> None:
        """Drop the messages that no consumer holds. Raises NotFound, Locked."""
        self._gateway.purge(name)

    def delete(self, name: str, *, if_empty: bool = False, if_unused: bool = False) -> None:
        """Delete the queue and its messages; its consumers wait until it is made again. Raises NotFound, Locked, and
        PreconditionFailed when it is not empty or in use and that was ruled out; Invalid when its type cannot do that:
        RabbitMQ refuses both conditions for a quorum queue and ignores `if_empty` for a stream."""
        asked = [field for field, given in (("ifEmpty", if_empty), ("ifUnused", if_unused)) if given]
        kind = self._gateway.get(name).type if asked else "classic"
        if kind != "classic":
            sentence = f"RabbitMQ cannot check this for a {kind} queue. Leave it out, or delete the queue by hand"
            raise Invalid(
                f"{asked[0]}: {sentence}.", code="refused_by_broker", fields=[(field, sentence) for field in asked]
            )
        self._gateway.delete(name, if_empty=if_empty, if_unused=if_unused)

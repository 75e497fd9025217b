"""Queues: declare, list, purge and delete them. Only the broker stores them."""

from __future__ import annotations

from datetime import UTC, datetime

from domain.audit import State, state_of
from domain.details import Page, QueueDetails, ScheduledLevel
from domain.errors import Invalid
from domain.queue import QueueSpec
from domain.queue_scope import QueueScope
from domain.selection import Selection
from gateway.management import QueueGateway
from services.delayed import scheduled_levels
from services.selecting import every, selected, visible


class Queues:
    """Thread-safe. Every method raises BrokerUnavailable when RabbitMQ is down."""

    def __init__(self, gateway: QueueGateway) -> None:
        self._gateway = gateway

    def create(self, spec: QueueSpec) -> bool:
        """Declare a queue. Return whether it is new. Raises Conflict, with the differences, when it exists with other
        settings."""
        return self._gateway.declare(spec)

    def page(
        self, wanted: Selection, only: QueueScope | None = None, *, internal: bool = False, dead_letters: bool = True
    ) -> Page[QueueDetails]:
        """Return the wanted page of the queues that `only` admits, with `internal` including the service's own, and
        with `dead_letters` the dead-letter queues. Raises what `selected` raises."""
        if only is None and not wanted.regex:
            return self._gateway.page(visible(wanted, internal, dead_letters))
        # No client's regular expression goes to RabbitMQ: PCRE may take 0.1 s for each name.
        shown = every(self._gateway.page, visible(Selection(), internal, dead_letters))
        found = [queue for queue in shown if only is None or only.admits(queue.queue_name)]
        return selected(found, wanted, lambda queue: (queue.queue_name,))

    def scheduled(self, number: int, size: int) -> Page[ScheduledLevel]:
        """Return one page of the delay levels that hold scheduled messages, the lowest first."""
        levels = scheduled_levels(self._gateway.outlines(), datetime.now(UTC))
        return selected(levels, Selection(number, size), lambda one: (one.queue_name,))

    def get(self, name: str) -> QueueDetails:
        """Return one queue. Raises NotFound."""
        return self._gateway.get(name)

    def state_of(self, name: str) -> State:
        """Return a queue for the audit log. The numbers of messages and consumers are RabbitMQ's statistics, which are
        up to five seconds old. Raises NotFound."""
        return state_of(self._gateway.get(name), "type durable auto_delete arguments policy messages consumers")

    def purge(self, name: str) -> None:
        """Drop all ready messages; unacked ones stay. Raises NotFound, Locked."""
        self._gateway.purge(name)

    def delete(self, name: str, *, if_empty: bool = False, if_unused: bool = False) -> None:
        """Delete a queue and its messages; its consumers wait until it is created again.

        Raises NotFound, Locked, PreconditionFailed when a condition does not hold, and Invalid when the queue's type
        does not support conditions: RabbitMQ refuses both for a quorum queue and ignores `if_empty` for a stream."""
        asked = [field for field, given in (("ifEmpty", if_empty), ("ifUnused", if_unused)) if given]
        kind = self._gateway.get(name).type if asked else "classic"
        if kind != "classic":
            sentence = f"RabbitMQ cannot check this condition for a {kind} queue. Leave it out"
            raise Invalid(
                f"{asked[0]}: {sentence}.", code="refused_by_broker", fields=[(field, sentence) for field in asked]
            )
        self._gateway.delete(name, if_empty=if_empty, if_unused=if_unused)

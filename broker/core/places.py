"""Where messages stand in a queue when they come, and when they come back."""

from __future__ import annotations

from broker.core.arguments import QueueRules
from broker.core.message import Entry

# Places of what has come back to a quorum queue count from here: before all others.
_FIRST_RETURN = -(2**62)


class Places:
    """Gives out the positions of one queue's entries."""

    __slots__ = ("_next", "_next_return", "_rules")

    def __init__(self, rules: QueueRules) -> None:
        self._rules = rules
        self._next = 0
        self._next_return = _FIRST_RETURN

    def last(self) -> int:
        """The place behind all others."""
        self._next += 1
        return self._next - 1

    def give_back(self, entry: Entry, by_client: bool) -> None:
        """Place what comes back. In a classic queue it keeps its place. In a quorum queue it goes behind all others if
        the client hands it back and there is no delivery limit, else behind what came back earlier
        (RabbitMQ docs: quorum-queues § repeated requeues).
        """
        if self._rules.type != "quorum":
            return
        if by_client and self._rules.delivery_limit is None:
            entry.position = self.last()
        else:
            entry.position = self._next_return
            self._next_return += 1

    def restored(self, entry: Entry) -> None:
        """The journal held this place; they are restored in order."""
        if entry.position < 0:
            self._next_return = entry.position + 1
        else:
            self._next = entry.position + 1

"""Positions of messages in a queue: at its end, or before all others."""

from __future__ import annotations

from broker.core.message import Entry

# Positions of messages that a quorum queue takes back count from here: before all others.
_FIRST_RETURN = -(2**62)


class Places:
    """Gives out the positions of one queue's entries."""

    __slots__ = ("_next", "_next_return")

    def __init__(self) -> None:
        self._next = 0
        self._next_return = _FIRST_RETURN

    def last(self) -> int:
        """The place behind all others."""
        self._next += 1
        return self._next - 1

    def next_return(self) -> int:
        """The place before all others, but behind those given out here earlier."""
        self._next_return += 1
        return self._next_return - 1

    def restored(self, entry: Entry) -> None:
        """The journal held this place; entries are restored in order."""
        if entry.position < 0:
            self._next_return = entry.position + 1
        else:
            self._next = entry.position + 1

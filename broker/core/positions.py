"""Positions of messages in a queue."""

from __future__ import annotations

from broker.core.message import Entry

# The first position at the front of a quorum queue.
_FIRST_FRONT = -(2**62)


class Positions:
    """Numbers the entries of one queue."""

    __slots__ = ("_next", "_next_front")

    def __init__(self) -> None:
        self._next = 0
        self._next_front = _FIRST_FRONT

    def next_at_end(self) -> int:
        """Return a position behind all others."""
        self._next += 1
        return self._next - 1

    def next_at_front(self) -> int:
        """Return a position before all others except those returned here earlier."""
        self._next_front += 1
        return self._next_front - 1

    def note_restored(self, entry: Entry) -> None:
        """Continue after the position of a restored entry. Entries are restored in order."""
        if entry.position < 0:
            self._next_front = entry.position + 1
        else:
            self._next = entry.position + 1

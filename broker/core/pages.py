"""Which bodies of a queue are on disk only. The `Pager` says when; this does it and keeps count."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from broker.core.journal import Journal
from broker.core.message import Entry

# How many bodies are read back at once, in messages.
PAGE = 64


class Pages:
    """One queue's paged-out bodies. `bytes` is their size."""

    def __init__(self, journal: Journal) -> None:
        self.bytes = 0
        self._journal = journal

    def out(self, entries: Iterable[Entry], excess: int) -> int:
        """Let go of bodies, in the order given, until `excess` bytes are gone; how many went."""
        gone = 0
        for entry in entries:
            if gone >= excess:
                break
            if not entry.paged and entry.message.pageable and self._is_on_disk(entry):
                entry.message.body = None
                entry.paged = True
                gone += entry.message.size
        self.bytes += gone
        return gone

    def _is_on_disk(self, entry: Entry) -> bool:
        return entry.message.body is None or self._journal.page_out(entry)

    def read_back(self, first: Entry, following: Iterable[Entry]) -> int:
        """Read back the body of `first` and of some that follow; how many bytes came."""
        wanted = [first, *(entry for entry in islice(following, PAGE - 1) if entry.message.body is None)]
        self._journal.page_in([entry.message for entry in wanted])
        for entry in wanted:
            self.count_in(entry)
        return sum(entry.message.size for entry in wanted)

    def count_in(self, entry: Entry) -> None:
        """The entry's body is in memory again, or of no interest any more."""
        if entry.paged:
            entry.paged = False
            self.bytes -= entry.message.size

    def count_out(self, entry: Entry) -> None:
        """The entry's body was not read from the journal yet."""
        entry.paged = True
        self.bytes += entry.message.size

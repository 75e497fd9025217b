"""The paged-out bodies of a queue. `Pager` decides when to page; this pages and counts."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from broker.core.journal import Journal
from broker.core.message import Entry

# Bodies read with one query.
READ_BATCH = 64


class PagedBodies:
    """One queue's paged-out bodies. `bytes` is their size."""

    def __init__(self, journal: Journal) -> None:
        self.bytes = 0
        self._journal = journal

    def page_out(self, entries: Iterable[Entry], excess: int) -> int:
        """Page out bodies in the order given until `excess` bytes are freed. Return the bytes freed."""
        freed = 0
        for entry in entries:
            if freed >= excess:
                break
            if not entry.paged and entry.message.pageable and self._is_on_disk(entry):
                entry.message.body = None
                entry.paged = True
                freed += entry.message.size
        self.bytes += freed
        return freed

    def _is_on_disk(self, entry: Entry) -> bool:
        return entry.message.body is None or self._journal.page_out(entry)

    def page_in(self, first: Entry, following: Iterable[Entry]) -> int:
        """Read the body of `first` and of some that follow. Return the bytes read."""
        wanted = [first, *(entry for entry in islice(following, READ_BATCH - 1) if entry.message.body is None)]
        self._journal.page_in([entry.message for entry in wanted])
        for entry in wanted:
            self.mark_in_memory(entry)
        return sum(entry.message.size for entry in wanted)

    def mark_in_memory(self, entry: Entry) -> None:
        """Stop counting the entry's body as paged out."""
        if entry.paged:
            entry.paged = False
            self.bytes -= entry.message.size

    def mark_paged_out(self, entry: Entry) -> None:
        """Count the entry's body as paged out."""
        entry.paged = True
        self.bytes += entry.message.size

"""A connection's output: frames in order, replies held until the disk has them, due confirms."""

from __future__ import annotations

from collections.abc import Callable

from broker.core.journal import Journal

# Bytes of output above which deliveries pause.
LIMIT = 1_048_576


class Output:
    """Frames that the transport has not taken yet. Calls `on_output` for the first one; `size` is in bytes.

    A reply is held while earlier changes of this connection are not on disk, with everything after it: a client that
    has the reply may rely on all earlier changes.
    """

    def __init__(self, journal: Journal, on_output: Callable[[], None]) -> None:
        self.frames = 0
        self.size = 0
        self.answering = False
        self._journal = journal
        self._on_output = on_output
        self._ready: list[bytes] = []
        self._held: list[bytes] = []
        self._afterwards: list[bytes] = []
        self._holds = 0
        self._uncommitted = 0
        self._noted_batch = -1
        self._noted_records = journal.records

    @property
    def holding(self) -> bool:
        """Return whether output waits for the journal."""
        return bool(self._holds)

    @property
    def is_full(self) -> bool:
        """Return whether deliveries should wait."""
        return self.size > LIMIT

    @property
    def is_empty(self) -> bool:
        """Return whether nothing can go out now."""
        return not self._ready

    def write(self, data: bytes) -> None:
        """Add frames. They wait behind a held reply."""
        self.frames += 1
        self.size += len(data)
        if self._holds:
            self._held.append(data)
            return
        if not self._ready:
            self._on_output()
        self._ready.append(data)

    def write_answer(self, data: bytes) -> None:
        """Add the reply to a synchronous method."""
        self.note_records()
        if self._uncommitted:
            self._holds += 1
            self._journal.on_commit(self._release)
        self.write(data)

    def write_afterwards(self, data: bytes) -> None:
        """Add frames after the reply to the method that is being handled."""
        if self.answering:
            self._afterwards.append(data)
        else:
            self.write(data)

    def answered(self) -> None:
        """End the handling of a method and add the frames that follow its reply."""
        self.answering = False
        while self._afterwards:
            self.write(self._afterwards.pop(0))

    def take(self) -> bytes:
        """Return the bytes to send now."""
        data = b"".join(self._ready)
        self._ready.clear()
        self.size -= len(data)
        return data

    def skip_records(self) -> None:
        """Ignore the journal's records up to here: other connections made them."""
        self._noted_records = self._journal.records

    def note_records(self) -> None:
        """Attribute the journal's records since the last call to this connection."""
        journal = self._journal
        if journal.records == self._noted_records:
            return
        if self._noted_batch != journal.batch:
            self._noted_batch = journal.batch
            self._uncommitted += 1
            journal.on_commit(self._committed)
        self._noted_records = journal.records

    def _committed(self) -> None:
        self._uncommitted -= 1

    def _release(self) -> None:
        self._holds -= 1
        if not self._holds and self._held:
            held, self._held = self._held, []
            if not self._ready:
                self._on_output()
            self._ready += held

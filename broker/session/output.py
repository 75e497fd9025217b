"""What a connection has to say: frames in order, answers that wait for the disk, confirms that are due."""

from __future__ import annotations

from collections.abc import Callable

from broker.core.journal import Journal

# Deliveries stop when this much output has not gone to the transport yet, in bytes.
LIMIT = 1_048_576


class Output:
    """Frames until the transport takes them. `soon` is told when there are some; `size` is in bytes.

    An answer to a client is held while changes that this connection made before are not on disk yet, and all that
    follows waits behind it: whoever has the answer may rely on all that was done before.
    """

    def __init__(self, journal: Journal, soon: Callable[[], None]) -> None:
        self.frames = 0
        self.size = 0
        self.answering = False
        self._journal = journal
        self._soon = soon
        self._ready: list[bytes] = []
        self._held: list[bytes] = []
        self._afterwards: list[bytes] = []
        self._holds = 0
        self._uncommitted = 0
        self._noted_batch = -1
        self._noted_records = journal.records

    @property
    def holding(self) -> bool:
        """Whether output waits for the journal."""
        return bool(self._holds)

    @property
    def is_full(self) -> bool:
        """Whether deliveries should wait."""
        return self.size > LIMIT

    @property
    def is_empty(self) -> bool:
        """Whether nothing can go out now."""
        return not self._ready

    def write(self, data: bytes) -> None:
        """Add frames; behind a held answer they wait with it."""
        self.frames += 1
        self.size += len(data)
        if self._holds:
            self._held.append(data)
            return
        if not self._ready:
            self._soon()
        self._ready.append(data)

    def write_answer(self, data: bytes) -> None:
        """Add the answer to a synchronous method."""
        self.note_records()
        if self._uncommitted:
            self._holds += 1
            self._journal.on_commit(self._release)
        self.write(data)

    def write_afterwards(self, data: bytes) -> None:
        """Add frames behind the answer to the method that is being handled."""
        if self.answering:
            self._afterwards.append(data)
        else:
            self.write(data)

    def answered(self) -> None:
        """The method has been handled: what was to follow its answer follows."""
        self.answering = False
        while self._afterwards:
            self.write(self._afterwards.pop(0))

    def take(self) -> bytes:
        """What is to be sent now."""
        data = b"".join(self._ready)
        self._ready.clear()
        self.size -= len(data)
        return data

    def records_of_others(self) -> None:
        """What was recorded up to here was not this connection's doing."""
        self._noted_records = self._journal.records

    def note_records(self) -> None:
        """What was recorded since is this connection's doing."""
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
                self._soon()
            self._ready += held

"""The durable journal: collects the core's records into batches and commits each in a writer thread.

Group commit: the next batch fills while the last one is written. A message that is stored and settled within one batch
is never written. The writer thread owns the file while it is open for writing; the rest belongs to the loop's thread.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from amqp_wire.table import encode_table
from broker.core.message import Entry, Message
from broker.journal_file import Batch, JournalFile

# The queue of transient entries that are stored only to page out their bodies; the next start deletes them.
NO_QUEUE = 0

_log = logging.getLogger(__name__)


class Storage:
    """A `core.journal.Journal` on disk.

    `backlog` is in bytes of bodies that are not yet on disk. While `replaying`, definitions are not recorded: they come
    from the file.
    """

    def __init__(self, directory: Path, rewrite: float = 1.0) -> None:
        """Open the journal. Retry a failed commit (on a full disk, say) every `rewrite` seconds. Raises
        JournalRefused."""
        self.file = JournalFile(directory)
        self._rewrite = rewrite
        self.batch = 0
        self.records = 0
        self.backlog = 0
        self._reader = self.file.reader()
        self._filling = Batch()
        self._bytes = 0
        self._callbacks: list[Callable[[], None]] = []
        self._in_flight: tuple[list[Callable[[], None]], int, int] = ([], 0, 0)
        self._committing = False
        self._last_content = self._on_disk = self.file.highest("content")
        self._entry_ids = count(self.file.highest("entry") + 1)
        self._schedule_flush: Callable[[], object] | None = None
        self._to_loop: Callable[[Callable[[], None]], object] | None = None
        self._dirty = False
        self._failed = False
        self._failing = False
        self.on_failing: Callable[[bool], None] | None = None
        self.replaying = False
        self._work: SimpleQueue[Batch | None] = SimpleQueue()
        self._stopping = threading.Event()
        self._writer = threading.Thread(target=self._write, name="journal", daemon=True)

    def start(self, schedule_flush: Callable[[], object], to_loop: Callable[[Callable[[], None]], object]) -> None:
        """Start committing. Storage calls `schedule_flush` at the first record of a batch; it must call `flush` after
        the current operation. `to_loop` runs a callback in the loop's thread.
        """
        self._schedule_flush, self._to_loop = schedule_flush, to_loop
        self._writer.start()
        if self._dirty:
            schedule_flush()

    # --- the Journal interface

    def store(self, queue_id: int, entry: Entry) -> None:
        self._record()
        message = entry.message
        if not message.copies:
            self._last_content += 1
            message.content_id = self._last_content
            self._filling.contents[message.content_id] = (
                message.exchange.encode("utf-8", "surrogateescape"),
                message.routing_key.encode("utf-8", "surrogateescape"),
                message.stored_properties(),
                message.body,
            )
            self._bytes += message.size
            self.backlog += message.size
        message.copies += 1
        entry.journal_id = next(self._entry_ids)
        self._filling.entries[entry.journal_id] = (queue_id, entry.position, message.content_id, entry.expires_at,
                                                   entry.redelivered, entry.deliveries)  # fmt: skip

    def forget(self, entry: Entry) -> None:
        self._record()
        batch, message = self._filling, entry.message
        if batch.entries.pop(entry.journal_id, None) is None:
            batch.gone_entries.append(entry.journal_id)
            batch.touched.pop(entry.journal_id, None)
        entry.journal_id = 0
        message.copies -= 1
        if not message.copies:
            if batch.contents.pop(message.content_id, None) is None:
                batch.gone_contents.append(message.content_id)
            else:
                self._bytes -= message.size
                self.backlog -= message.size

    def touch(self, entry: Entry) -> None:
        self._record()
        row = self._filling.entries.get(entry.journal_id)
        if row is None:
            self._filling.touched[entry.journal_id] = (entry.position, entry.redelivered, entry.deliveries)
        else:
            self._filling.entries[entry.journal_id] = (row[0], entry.position, *row[2:4], entry.redelivered,
                                                       entry.deliveries)  # fmt: skip

    def define(self, kind: str, key: str, value: dict[str, Any]) -> None:
        if self.replaying:
            return
        self._record()
        self._filling.definitions[kind, key.encode("utf-8", "surrogateescape")] = encode_table(value)

    def undefine(self, kind: str, key: str) -> None:
        self._record()
        self._filling.definitions[kind, key.encode("utf-8", "surrogateescape")] = None

    def on_commit(self, committed: Callable[[], None]) -> None:
        """Call the callbacks in the order in which they were added."""
        self._record()
        self._callbacks.append(committed)

    def page_out(self, entry: Entry) -> bool:
        """Store a transient message under NO_QUEUE, so that its body can leave memory."""
        if not entry.journal_id:
            self.store(NO_QUEUE, entry)
        return entry.message.content_id <= self._on_disk

    def page_in(self, messages: Iterable[Message]) -> None:
        by_id = {message.content_id: message for message in messages}
        marks = ",".join("?" * len(by_id))
        for key, body in self._reader.execute(f"SELECT id, body FROM content WHERE id IN ({marks})", list(by_id)):
            by_id[key].body = body

    def _record(self) -> None:
        self.records += 1
        if not self._dirty:
            self._dirty = True
            if self._schedule_flush is not None:
                self._schedule_flush()

    # --- committing

    def flush(self) -> None:
        """Hand the batch to the writer. A busy writer takes it after its current batch."""
        if self._committing or not self._dirty:
            return
        self._work.put(self._filling)
        self._in_flight = (self._callbacks, self._bytes, self._last_content)
        self._filling, self._callbacks, self._bytes = Batch(), [], 0
        self.batch += 1
        self._dirty = False
        self._committing = True

    def _committed(self) -> None:
        callbacks, size, self._on_disk = self._in_flight
        self._committing = False
        self.backlog -= size
        for committed in callbacks:
            committed()
        self.flush()

    def _write(self) -> None:
        """Run the writer thread, which owns the file. Other threads may only put batches into `_work`."""
        while (batch := self._work.get()) is not None:
            while not self._try_commit(batch):
                self._report(True)
                if self._stopping.wait(self._rewrite):
                    self._failed = True
                    return
            self._report(False)
            if self._to_loop is not None:
                self._to_loop(self._committed)

    def _report(self, failing: bool) -> None:
        """Tell the loop's thread when commits start or stop failing."""
        if failing != self._failing and self._to_loop is not None:
            self._failing = failing
            self._to_loop(lambda: self.on_failing(failing) if self.on_failing is not None else None)

    def _try_commit(self, batch: Batch) -> bool:
        try:
            self.file.commit(batch)
        except sqlite3.Error as error:
            _log.error("cannot write the journal, retrying: %s", error)
            return False
        return True

    def close(self) -> None:
        """Commit the rest in the calling thread and close the file. Raises sqlite3.Error."""
        self._stopping.set()
        self._work.put(None)
        if self._writer.is_alive():
            self._writer.join()
        self._reader.close()
        if not self._failed:
            self.file.commit(self._filling)
            self.file.close()

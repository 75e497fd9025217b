"""The journal on disk: one SQLite file, opened or refused, read once, written in batches.

WAL with synchronous=FULL: a commit survives kill and power loss completely or not at all. One statement writes or
deletes many rows: each statement releases the GIL once, and getting it back takes milliseconds under load.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

APPLICATION_ID = 0x57524D51  # "WRMQ"
VERSION = 1

_SCHEMA = """
CREATE TABLE definition(kind TEXT, key BLOB, value BLOB, PRIMARY KEY(kind, key)) WITHOUT ROWID;
CREATE TABLE content(id INTEGER PRIMARY KEY, exchange BLOB, routing_key BLOB, properties BLOB, body BLOB);
CREATE TABLE entry(id INTEGER PRIMARY KEY, queue INTEGER, position INTEGER, content INTEGER, expires_at REAL,
                   redelivered INTEGER, deliveries INTEGER);
CREATE TABLE state(name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;
"""

# Rows per statement: few sizes keep the prepared statements in sqlite3's cache.
_CHUNKS = (256, 32, 1)

Row = tuple[Any, ...]


class JournalRefused(Exception):
    """The journal cannot be opened; the message says why. The file is unchanged."""


@dataclass(slots=True)
class Batch:
    """Records that are committed together. Contents and entries by id, definitions in order (None deletes)."""

    contents: dict[int, Row] = field(default_factory=dict)
    entries: dict[int, Row] = field(default_factory=dict)
    gone_contents: list[int] = field(default_factory=list)
    gone_entries: list[int] = field(default_factory=list)
    touched: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    definitions: dict[tuple[str, bytes], bytes | None] = field(default_factory=dict)


class JournalFile:
    """An open journal. `was_clean` says whether the last broker closed it. Use it from one thread at a time."""

    def __init__(self, directory: Path) -> None:
        """Open or create the journal in `directory`. Raises JournalRefused."""
        self.path = directory / "journal.sqlite"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(directory / "lock")
            _refuse_foreign(self.path)
            self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise JournalRefused(f"{self.path} cannot be opened: {error}.") from error

    def _prepare(self) -> None:
        db = self._db
        if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            db.execute("PRAGMA page_size=8192")
            db.execute("PRAGMA journal_mode=WAL")
            db.executescript(f"BEGIN;{_SCHEMA}INSERT INTO state VALUES('clean', 1);"
                             f"PRAGMA application_id={APPLICATION_ID};"
                             f"PRAGMA user_version={VERSION};COMMIT;")  # fmt: skip
        if db.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            raise JournalRefused(f"{self.path} was written by another version of this broker.")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA wal_autocheckpoint=4000")
        self.was_clean = bool(db.execute("SELECT value FROM state WHERE name='clean'").fetchone()[0])
        # Check after a clean stop as well: an incomplete copy or a failed disk may have damaged the file. This takes
        # about 6 ms per MB.
        problem = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise JournalRefused(f"{self.path} is damaged: {problem}.")
        db.execute("UPDATE state SET value=0 WHERE name='clean'")
        db.execute("DELETE FROM entry WHERE queue=0")
        db.execute("DELETE FROM content WHERE id NOT IN (SELECT content FROM entry)")

    def reader(self) -> sqlite3.Connection:
        """Return a second connection, which reads bodies during a commit. Use it from one thread at a time."""
        return sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)

    def definitions(self) -> Iterator[tuple[str, bytes]]:
        """Yield (kind, value) of every definition."""
        return self._db.execute("SELECT kind, value FROM definition ORDER BY kind, key")

    def contents(self) -> Iterator[tuple[int, bytes, bytes, bytes, int]]:
        """Yield (id, exchange, routing key, properties, size of the body in bytes) of every stored message."""
        return self._db.execute("SELECT id, exchange, routing_key, properties, length(body) FROM content")

    def entries(self) -> Iterator[tuple[int, int, int, int, float | None, int, int]]:
        """Yield (id, queue, position, content, expires at, redelivered, deliveries), each queue's in order."""
        return self._db.execute("SELECT id, queue, position, content, expires_at, redelivered, deliveries "
                                "FROM entry ORDER BY queue, position")  # fmt: skip

    def highest(self, table: str) -> int:
        """Return the highest id in `table`, 0 for an empty one."""
        return int(self._db.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()[0])

    def commit(self, batch: Batch) -> None:
        """Write a batch to disk. Raises sqlite3.Error, and then writes none of it."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            self._insert("content", 5, [(key, *row) for key, row in batch.contents.items()])
            self._insert("entry", 7, [(key, *row) for key, row in batch.entries.items()])
            self._delete("entry", batch.gone_entries)
            self._delete("content", batch.gone_contents)
            for key, changed in batch.touched.items():
                db.execute("UPDATE entry SET position=?, redelivered=?, deliveries=? WHERE id=?", (*changed, key))
            for (kind, name), value in batch.definitions.items():
                if value is None:
                    db.execute("DELETE FROM definition WHERE kind=? AND key=?", (kind, name))
                else:
                    db.execute("INSERT OR REPLACE INTO definition VALUES(?,?,?)", (kind, name, value))
            db.execute("COMMIT")
        except sqlite3.Error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _insert(self, table: str, width: int, rows: Sequence[Row]) -> None:
        row = f"({','.join('?' * width)})"
        for chunk in _chunks(rows):
            values = ",".join([row] * len(chunk))
            self._db.execute(f"INSERT INTO {table} VALUES {values}", [value for one in chunk for value in one])

    def _delete(self, table: str, ids: Sequence[int]) -> None:
        for chunk in _chunks(ids):
            self._db.execute(f"DELETE FROM {table} WHERE id IN ({','.join('?' * len(chunk))})", chunk)

    def close(self) -> None:
        """Mark the journal as cleanly closed and release it."""
        self._db.execute("UPDATE state SET value=1 WHERE name='clean'")
        self._db.close()
        self._lock.close()


def _chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    at = 0
    for size in _CHUNKS:
        while len(items) - at >= size:
            yield items[at : at + size]
            at += size


def _lock(path: Path) -> IO[bytes]:
    lock = path.open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise JournalRefused(f"{path.parent} is in use by another broker.") from error
    return lock


def _refuse_foreign(path: Path) -> None:
    """Raise JournalRefused for a file that is not a journal, before SQLite can change it."""
    if not path.exists() or not path.stat().st_size:
        return
    with path.open("rb") as file:
        head = file.read(100)
    if head[:16] != b"SQLite format 3\0":
        raise JournalRefused(f"{path} is not an SQLite file.")
    if int.from_bytes(head[68:72], "big") != APPLICATION_ID and not _wal_has_rows(path):
        raise JournalRefused(f"{path} is an SQLite file of another program.")


def _wal_has_rows(path: Path) -> bool:
    """Return whether the first page may still be in the write-ahead log: after a kill right after the first start."""
    wal = path.with_name(path.name + "-wal")
    return os.path.exists(wal) and os.path.getsize(wal) > 0

"""The last heartbeat of each worker process. A TTL index removes silent workers."""

from __future__ import annotations

import secrets
import time
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta

from pymongo.database import Database

from domain.registry import Heartbeat, Report
from gateway.mongo.collection import Document, IndexedCollection, forgetting, store_call

_FIELDS = frozenset(field.name for field in fields(Report))


class Heartbeats(IndexedCollection):
    """Two documents per worker process, which it overwrites: the heartbeat every second, and its reports on consumers
    when they change or before they expire. All methods raise StoreUnavailable."""

    def __init__(
        self,
        database: Database[Document],
        *,
        live_for: float = 5.0,
        repeated_every: float = 20.0,
        forgotten_after: int = 60,
    ) -> None:
        """A worker is live for `live_for` seconds after its heartbeat. Its reports are written again after
        `repeated_every` seconds, because they expire `forgotten_after` seconds after they were written."""
        self._live_for = timedelta(seconds=live_for)
        self._repeated_every = repeated_every
        super().__init__(database, "heartbeats", forgetting("at", forgotten_after))
        self._reports = IndexedCollection(database, "reports", forgetting("at", forgotten_after))
        self._reported: dict[str, tuple[tuple[Report, ...], float, str]] = {}  # by worker: reports, time, mark
        self._read: dict[str, tuple[str | None, tuple[Report, ...]]] = {}  # by worker: mark, reports

    @store_call
    def beat(self, heartbeat: Heartbeat) -> None:
        """Store a worker's heartbeat in place of the previous one."""
        # Replace documents instead of $set, with which the embedded store turns times into strings.
        worker = {"_id": heartbeat.worker}
        consumers, at, mark = self._reported.get(heartbeat.worker, ((), float("-inf"), ""))
        if heartbeat.consumers != consumers or time.monotonic() - at > self._repeated_every:
            reports = {"at": heartbeat.at, "consumers": [asdict(report) for report in heartbeat.consumers]}
            self._reports._collection().replace_one(worker, worker | reports, upsert=True)
            mark = mark if heartbeat.consumers == consumers else secrets.token_hex(8)
            self._reported[heartbeat.worker] = heartbeat.consumers, time.monotonic(), mark
        beat = {"at": heartbeat.at, "started_at": heartbeat.started_at, "connected": heartbeat.connected, "told": mark}
        self._collection().replace_one(worker, worker | beat, upsert=True)

    @store_call
    def live(self) -> list[Heartbeat]:
        """Return the heartbeats of live workers, by name. Reports are only read if their mark has changed, because
        there may be a thousand."""
        beats = self._live()
        marks: dict[str, str | None] = {beat["_id"]: beat.get("told") for beat in beats}  # None: an earlier release
        read = {name: known for name, known in self._read.items() if known[0] and marks.get(name) == known[0]}
        if changed := [name for name in marks if name not in read]:
            for found in self._reports._collection().find({"_id": {"$in": changed}}):
                reports = tuple(_report(report) for report in found["consumers"])
                read[found["_id"]] = marks[found["_id"]], reports
        self._read = read
        return [
            Heartbeat(
                worker=beat["_id"],
                at=beat["at"],
                started_at=beat["started_at"],
                connected=bool(beat["connected"]),
                consumers=read[beat["_id"]][1] if beat["_id"] in read else (),
            )
            for beat in beats
        ]

    @store_call
    def count(self) -> int:
        """Return the number of live workers."""
        return len(self._live())

    @store_call
    def ages(self) -> list[float]:
        """Return the seconds since the last heartbeat of each live worker."""
        now = datetime.now(UTC)
        return [max(0.0, (now - beat["at"]).total_seconds()) for beat in self._live()]

    @store_call
    def remove(self, worker: str) -> None:
        """Remove a worker that stops, so that it does not count as live until its heartbeat is old."""
        self._reported.pop(worker, None)
        self._collection().delete_one({"_id": worker})
        self._reports._collection().delete_one({"_id": worker})

    def _live(self) -> list[Document]:
        since = datetime.now(UTC) - self._live_for
        return list(self._collection().find({"at": {"$gte": since}}).sort("_id", 1))


def _report(document: Document) -> Report:
    """Return the report in a document. Unknown fields are ignored: during a rollout, workers of other releases report,
    too."""
    return Report(**{name: value for name, value in document.items() if name in _FIELDS})

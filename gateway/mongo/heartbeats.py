"""What each worker process last said of itself. A worker that is silent for a minute is forgotten by the TTL index."""

from __future__ import annotations

import secrets
import time
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta

from pymongo import IndexModel
from pymongo.database import Database

from domain.registry import Heartbeat, Report
from gateway.mongo.collection import Document, IndexedCollection, translated

FORGOTTEN_AFTER = 60  # seconds
_REPEATED_EVERY = 20.0  # seconds
_FIELDS = frozenset(field.name for field in fields(Report))


class Heartbeats:
    """Two documents per worker process, overwritten: the beat every second, what it says of its consumers when that has
    changed (or it might be forgotten). All methods raise StoreUnavailable."""

    def __init__(self, database: Database[Document]) -> None:
        self._beats = IndexedCollection(database, "heartbeats", IndexModel("at", expireAfterSeconds=FORGOTTEN_AFTER))
        self._reports = IndexedCollection(database, "reports", IndexModel("at", expireAfterSeconds=FORGOTTEN_AFTER))
        self._reported: dict[str, tuple[tuple[Report, ...], float, str]] = {}  # by worker: what, when, its mark
        self._read: dict[str, tuple[str | None, tuple[Report, ...]]] = {}  # by worker: its mark, what it says

    @translated
    def beat(self, heartbeat: Heartbeat) -> None:
        """Store what a worker says of itself, in place of what it said before."""
        # Replacements, not $set: the embedded store would turn the times into strings.
        worker = {"_id": heartbeat.worker}
        consumers, at, mark = self._reported.get(heartbeat.worker, ((), float("-inf"), ""))
        if heartbeat.consumers != consumers or time.monotonic() - at > _REPEATED_EVERY:
            reports = {"at": heartbeat.at, "consumers": [asdict(report) for report in heartbeat.consumers]}
            self._reports().replace_one(worker, worker | reports, upsert=True)
            mark = mark if heartbeat.consumers == consumers else secrets.token_hex(8)
            self._reported[heartbeat.worker] = heartbeat.consumers, time.monotonic(), mark
        beat = {"at": heartbeat.at, "started_at": heartbeat.started_at, "connected": heartbeat.connected, "told": mark}
        self._beats().replace_one(worker, worker | beat, upsert=True)

    @translated
    def live(self, max_age_seconds: float = 5) -> list[Heartbeat]:
        """The workers that were heard of in the last `max_age_seconds`, by name. What they say of their consumers is
        read again when it has changed: it may be a thousand reports."""
        beats = self._live(max_age_seconds)
        marks: dict[str, str | None] = {beat["_id"]: beat.get("told") for beat in beats}  # None: it sets no marks
        read = {name: known for name, known in self._read.items() if known[0] and marks.get(name) == known[0]}
        if changed := [name for name in marks if name not in read]:
            for found in self._reports().find({"_id": {"$in": changed}}):
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

    @translated
    def count(self, max_age_seconds: float = 5) -> int:
        """How many workers were heard of in the last `max_age_seconds`."""
        return len(self._live(max_age_seconds))

    @translated
    def ages(self, max_age_seconds: float = 5) -> list[float]:
        """For each worker that was heard of in the last `max_age_seconds`, how many seconds ago that was."""
        now = datetime.now(UTC)
        return [max(0.0, (now - beat["at"]).total_seconds()) for beat in self._live(max_age_seconds)]

    @translated
    def remove(self, worker: str) -> None:
        """Forget a worker that says goodbye, so that nobody waits for its silence to be noticed."""
        self._reported.pop(worker, None)
        self._beats().delete_one({"_id": worker})
        self._reports().delete_one({"_id": worker})

    def _live(self, max_age_seconds: float) -> list[Document]:
        since = datetime.now(UTC) - timedelta(seconds=max_age_seconds)
        return list(self._beats().find({"at": {"$gte": since}}).sort("_id", 1))


def _report(document: Document) -> Report:
    """As far as it is understood: while a release is rolled out, workers of the one before or after report, too."""
    return Report(**{name: value for name, value in document.items() if name in _FIELDS})

"""What each worker process last said of itself. A worker that is silent for a minute is forgotten by the TTL index."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from pymongo import IndexModel
from pymongo.database import Database

from domain.registry import Heartbeat, Report
from gateway.mongo.collection import Document, IndexedCollection, translated

FORGOTTEN_AFTER = 60  # seconds


class Heartbeats:
    """One document per worker process, overwritten with every beat. All methods raise StoreUnavailable."""

    def __init__(self, database: Database[Document]) -> None:
        self._collection = IndexedCollection(
            database, "heartbeats", IndexModel("at", expireAfterSeconds=FORGOTTEN_AFTER)
        )

    @translated
    def beat(self, heartbeat: Heartbeat) -> None:
        """Store what a worker says of itself, in place of what it said before."""
        document = asdict(heartbeat)
        document["_id"] = document.pop("worker")
        # A replacement, not $set: the embedded store would turn the times into strings.
        self._collection().replace_one({"_id": heartbeat.worker}, document, upsert=True)

    @translated
    def live(self, max_age_seconds: float = 5) -> list[Heartbeat]:
        """The workers that were heard of in the last `max_age_seconds`, by name."""
        since = datetime.now(UTC) - timedelta(seconds=max_age_seconds)
        return [_heartbeat(document) for document in self._collection().find({"at": {"$gte": since}}).sort("_id", 1)]

    @translated
    def remove(self, worker: str) -> None:
        """Forget a worker that says goodbye, so that nobody waits for its silence to be noticed."""
        self._collection().delete_one({"_id": worker})


def _heartbeat(document: Document) -> Heartbeat:
    return Heartbeat(
        worker=document["_id"],
        at=document["at"],
        started_at=document["started_at"],
        connected=document["connected"],
        consumers=tuple(Report(**report) for report in document["consumers"]),
    )

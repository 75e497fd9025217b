"""The log of delivery attempts. A TTL index forgets them after a week."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pymongo import DESCENDING, IndexModel
from pymongo.database import Database

from domain.attempt import Attempt, AttemptFilter
from domain.details import Page
from gateway.mongo.collection import Document, IndexedCollection, counted, translated

FORGOTTEN_AFTER = 7 * 24 * 3600  # seconds


class Attempts:
    """Written by workers in batches, read by the API. All methods raise StoreUnavailable."""

    def __init__(self, database: Database[Document]) -> None:
        self._collection = IndexedCollection(
            database,
            "attempts",
            IndexModel("at", expireAfterSeconds=FORGOTTEN_AFTER),
            IndexModel("message_id"),
            IndexModel([("consumer", 1), ("at", DESCENDING)]),
            IndexModel([("queue", 1), ("at", DESCENDING)]),
        )

    @translated
    def add(self, attempts: Sequence[Attempt]) -> None:
        """Store all of them, in one call."""
        if attempts:
            self._collection().insert_many([asdict(attempt) for attempt in attempts], ordered=False)

    @translated
    def find(self, wanted: AttemptFilter, number: int = 1, size: int = 100) -> Page[Attempt]:
        """One page of those that fit the filter, the latest first; the first page is 1."""
        query = _query(wanted)
        collection = self._collection()
        found = collection.find(query, {"_id": 0}).sort("at", DESCENDING).skip((number - 1) * size).limit(size)
        return Page([_loaded(document) for document in found], counted(collection, query))


def _query(wanted: AttemptFilter) -> Document:
    same: Mapping[str, Any] = {
        name: getattr(wanted, name)
        for name in ("consumer", "queue", "message_id", "result")
        if getattr(wanted, name) is not None
    }
    bounds = {"$gte": wanted.since, "$lt": wanted.until}
    at = {operator: moment for operator, moment in bounds.items() if moment is not None}
    query: Document = {**same, "at": at} if at else dict(same)
    if wanted.only and wanted.queue is None:
        query["queue"] = {"$regex": wanted.only.regex}
    return query


def _loaded(document: Document) -> Attempt:
    document["sampled"] = bool(document["sampled"])  # the embedded store keeps booleans as numbers
    return Attempt(**document)

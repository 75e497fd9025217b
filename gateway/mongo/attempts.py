"""The log of delivery attempts. A TTL index forgets them after a week."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pymongo import DESCENDING, IndexModel
from pymongo.database import Database

from domain.attempt import Attempt, AttemptFilter
from domain.details import Page
from domain.selection import Order
from gateway.mongo.collection import Document, IndexedCollection, between, micros, ordering, page_of, translated

FORGOTTEN_AFTER = 7 * 24 * 3600  # seconds
_NAMES = {"at": "micros", "queueName": "queue", "durationMs": "duration_ms"}


class Attempts:
    """Written by workers in batches, read by the API. All methods raise StoreUnavailable."""

    def __init__(self, database: Database[Document]) -> None:
        self._collection = IndexedCollection(
            database,
            "attempts",
            IndexModel("at", expireAfterSeconds=FORGOTTEN_AFTER),
            IndexModel("message_id"),
            IndexModel("micros"),
            IndexModel([("consumer", 1), ("micros", DESCENDING)]),
            IndexModel([("queue", 1), ("micros", DESCENDING)]),
        )

    @translated
    def add(self, attempts: Sequence[Attempt]) -> None:
        """Store all of them, in one call."""
        if attempts:
            documents = [asdict(attempt) | {"micros": micros(attempt.at)} for attempt in attempts]
            self._collection().insert_many(documents, ordered=False)

    @translated
    def find(self, wanted: AttemptFilter, order: Order, number: int, size: int) -> Page[Attempt]:
        """One page of those that fit the filter, in that order; the first page is 1."""
        return page_of(self._collection(), _query(wanted), ordering(order, _NAMES), number, size, _loaded)


def _query(wanted: AttemptFilter) -> Document:
    same: Mapping[str, Any] = {
        name: getattr(wanted, name)
        for name in ("consumer", "queue", "message_id", "result")
        if getattr(wanted, name) is not None
    }
    query: Document = dict(same)
    if at := between(wanted.since, wanted.until):
        query["micros"] = at
    if wanted.only and wanted.queue is None:
        query["queue"] = {"$regex": wanted.only.regex}
    return query


def _loaded(document: Document) -> Attempt:
    fields = {name: value for name, value in document.items() if name not in {"_id", "micros"}}
    fields["sampled"] = bool(fields["sampled"])  # the embedded store keeps booleans as numbers
    return Attempt(**fields)

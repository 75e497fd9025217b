"""The attempt log. A TTL index removes old attempts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from pymongo import IndexModel
from pymongo.database import Database

from delivery.header_values import field_value
from domain.attempt import Attempt, AttemptFilter
from domain.details import Page
from domain.selection import Order
from gateway.mongo.collection import (
    Document,
    IndexedCollection,
    between,
    insert_new,
    log_indexes,
    micros,
    ordering,
    page_of,
    store_call,
)

_FIELDS = frozenset(field.name for field in fields(Attempt))
_NAMES = {"at": "micros", "queueName": "queue", "durationMs": "duration_ms"}


class Attempts(IndexedCollection):
    """The attempt log: workers write it in batches, the API reads it. All methods raise StoreUnavailable."""

    def __init__(self, database: Database[Document], kept: int) -> None:
        """An attempt is removed after `kept` seconds."""
        indexes = log_indexes(kept, "consumer", "queue")
        super().__init__(database, "attempts", *indexes, IndexModel("message_id"))

    @store_call
    def add(self, attempts: Mapping[str, Attempt]) -> int:
        """Store attempts under their ids, in one call. Skip those that an earlier call has stored. Return the number of
        attempts that can never be stored."""
        documents = [asdict(attempt) | {"_id": key, "micros": micros(attempt.at)} for key, attempt in attempts.items()]
        return insert_new(self._collection(), documents) if documents else 0

    @store_call
    def find(self, wanted: AttemptFilter, order: Order, number: int, size: int) -> Page[Attempt]:
        """Return one page of the matching attempts, in this order; the first page is 1."""
        return page_of(self._collection(), _query(wanted), ordering(order, _NAMES), number, size, _loaded)


def _query(wanted: AttemptFilter) -> Document:
    same: Mapping[str, Any] = {
        name: getattr(wanted, name)
        for name in ("consumer", "queue", "message_id", "result", "destination")
        if getattr(wanted, name) is not None
    }
    query: Document = dict(same)
    if at := between(wanted.since, wanted.until):
        query["micros"] = at
    if wanted.only and wanted.queue is None:
        query["queue"] = {"$regex": wanted.only.regex}
    return query


def _loaded(document: Document) -> Attempt:
    known = {name: value for name, value in document.items() if name in _FIELDS}  # a newer release may write others
    known["sampled"] = bool(known["sampled"])  # the embedded store keeps booleans as numbers
    if isinstance(known["message_id"], bytes):  # an earlier release stored ids that are not UTF-8
        known["message_id"] = field_value(known["message_id"])
    return Attempt(**known)

"""The audit log. A TTL index removes old entries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_json
from pymongo.database import Database

from domain.audit import AuditEntry, AuditFilter
from domain.configuration import Change
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

_NAMES = {"at": "micros"}
_MOST = 2000
"""Characters of a value in `changes`."""
_CHANGES = TypeAdapter(tuple[Change, ...])


class AuditEntries(IndexedCollection):
    """The audit log, written in batches. All methods raise StoreUnavailable."""

    def __init__(self, database: Database[Document], kept: int) -> None:
        """An entry is removed after `kept` seconds."""
        super().__init__(database, "audit", *log_indexes(kept, "user", "names"))

    @store_call
    def add(self, entries: Sequence[AuditEntry]) -> int:
        """Store entries. Skip those that an earlier call has stored. Return the number of entries that can never be
        stored."""
        return insert_new(self._collection(), [_document(entry) for entry in entries])

    @store_call
    def find(self, wanted: AuditFilter, order: Order, number: int, size: int) -> Page[AuditEntry]:
        """Return one page of the matching entries, in this order; the first page is 1."""
        return page_of(self._collection(), _query(wanted), ordering(order, _NAMES), number, size, _entry)

    @store_call
    def removals(self, queues: Sequence[str], since: datetime) -> list[AuditEntry]:
        """Return the successful requests since then that purged or deleted one of the queues, the first hundred."""
        query = {
            "names": {"$in": list(queues)},
            "action": {"$in": ["purgeQueue", "deleteQueue"]},
            "status": {"$lt": 300},
            "micros": {"$gte": micros(since)},
        }
        found = self._collection().find(query).sort("micros", 1).limit(100)
        return [_entry(document) for document in found]


def _query(wanted: AuditFilter) -> Document:
    same = {"user": wanted.user, "action": wanted.action, "names": wanted.resource}
    query: Document = {name: value for name, value in same.items() if value is not None}
    if at := between(wanted.since, wanted.until):
        query["micros"] = at
    return query


def _document(entry: AuditEntry) -> Document:
    changes = [_shortened(change) for change in entry.changes]
    return {
        "_id": entry.entry_id,
        "at": entry.at,
        "micros": micros(entry.at),
        "user": entry.user,
        "action": entry.action,
        "resource": [[kind, name] for kind, name in entry.resource.items()],
        "names": list(entry.resource.values()),
        "remote": entry.remote,
        "status": entry.status,
        "requestId": entry.request_id,
        "changes": to_json(changes, by_alias=True).decode(),  # text, because their names may be any
    }


def _shortened(change: Change) -> Change:
    """Return the change with long values, such as templates and lists of message ids, cut off."""
    return Change(field=change.field, from_=_cut(change.from_), to=_cut(change.to))


def _cut(value: Any) -> Any:
    text = value if isinstance(value, str) else to_json(value, by_alias=True).decode()
    return value if len(text) <= _MOST else f"{text[:_MOST]}… ({len(text)} characters)"


def _entry(document: Document) -> AuditEntry:
    return AuditEntry(
        entry_id=document["_id"],
        at=document["at"],
        user=document["user"],
        action=document["action"],
        resource=dict(document["resource"]),
        remote=document["remote"],
        status=document["status"],
        request_id=document["requestId"],
        changes=_CHANGES.validate_json(document.get("changes", "[]")),
    )

"""Counters of recent wrong passwords, shared by all processes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from gateway.mongo.collection import Document, IndexedCollection, change, forgetting, store_call

Subject = tuple[str | None, str | None]
"""Account and network whose failures are counted together; None stands for any."""


class LoginFailures(IndexedCollection):
    """Counters that a TTL index removes when their window ends. All methods raise StoreUnavailable."""

    def __init__(self, database: Database[Document]) -> None:
        super().__init__(database, "loginFailures", forgetting("endsAt"))

    @store_call
    def counts(self, subjects: Sequence[Subject]) -> list[tuple[int, float]]:
        """Return for each subject the failures in its current window, and the seconds until that ends; (0, 0) without
        one."""
        found = self._collection().find({"_id": {"$in": [_key(subject) for subject in subjects]}})
        known = {document["_id"]: document for document in found}
        return [_running(known.get(_key(subject))) for subject in subjects]

    @store_call
    def add(self, subject: Subject, window: timedelta) -> tuple[int, float]:
        """Count one more failure; the first one starts a window of length `window`. Return what `counts` returns for
        the subject, including this failure; each of several concurrent calls gets another count."""
        key, now = _key(subject), datetime.now(UTC)
        collection = self._collection()
        collection.delete_one({"_id": key, "endsAt": {"$lte": now}})
        while True:
            first = {"_id": key, "revision": 1, "failures": 1, "endsAt": now + window}
            try:
                collection.insert_one(first)
            except DuplicateKeyError:
                if changed := change(collection, {"_id": key}, lambda before: {"failures": before["failures"] + 1}):
                    return _running(changed[1])
            else:
                return _running(first)

    @store_call
    def take_back(self, subject: Subject) -> None:
        """Uncount one failure, because the password was not wrong."""
        change(self._collection(), {"_id": _key(subject)}, lambda before: {"failures": max(0, before["failures"] - 1)})

    @store_call
    def clear(self, subject: Subject) -> None:
        """Remove the failures of a subject."""
        self._collection().delete_one({"_id": _key(subject)})


def _running(document: Document | None) -> tuple[int, float]:
    if document is None:
        return 0, 0.0
    left = (document["endsAt"] - datetime.now(UTC)).total_seconds()
    return (document["failures"], left) if left > 0 else (0, 0.0)


def _key(subject: Subject) -> str:
    # A hash, because people type passwords into the user name field.
    return sha256(repr(subject).encode()).hexdigest()

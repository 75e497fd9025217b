"""How often a password was wrong lately, counted across all processes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from pymongo import IndexModel
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from gateway.mongo.collection import Document, IndexedCollection, change, translated

Subject = tuple[str | None, str | None]
"""Whose failures are counted together: those of an account, of a network, or of both; None stands for any."""


class LoginFailures:
    """Counters that a TTL index removes when their window ends. All methods raise StoreUnavailable."""

    def __init__(self, database: Database[Document]) -> None:
        self._collection = IndexedCollection(database, "loginFailures", IndexModel("endsAt", expireAfterSeconds=0))

    @translated
    def counts(self, subjects: Sequence[Subject]) -> list[tuple[int, float]]:
        """For each subject the failures in the window that runs, and the seconds until it ends; (0, 0) when none
        runs."""
        found = self._collection().find({"_id": {"$in": [_key(subject) for subject in subjects]}})
        known = {document["_id"]: document for document in found}
        return [_running(known.get(_key(subject))) for subject in subjects]

    @translated
    def add(self, subject: Subject, window: timedelta) -> tuple[int, float]:
        """Count one more failure; the first opens a window of that length. Return what `counts` does, this one
        included: of many at once, each gets another count."""
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

    @translated
    def take_back(self, subject: Subject) -> None:
        """Count one failure less: it was none."""
        change(self._collection(), {"_id": _key(subject)}, lambda before: {"failures": max(0, before["failures"] - 1)})

    @translated
    def clear(self, subject: Subject) -> None:
        """Forget the failures."""
        self._collection().delete_one({"_id": _key(subject)})


def _running(document: Document | None) -> tuple[int, float]:
    if document is None:
        return 0, 0.0
    left = (document["endsAt"] - datetime.now(UTC)).total_seconds()
    return (document["failures"], left) if left > 0 else (0, 0.0)


def _key(subject: Subject) -> str:
    # People type passwords into the user name field: it is not kept in the clear.
    return sha256(repr(subject).encode()).hexdigest()

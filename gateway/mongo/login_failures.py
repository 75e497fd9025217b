"""How often a password was wrong lately, per account and address, counted across all processes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from gateway.mongo.collection import Document, IndexedCollection, forgetting, store_call


class LoginFailures(IndexedCollection):
    """Counters that a TTL index removes when their window ends. All methods raise StoreUnavailable."""

    def __init__(self, database: Database[Document]) -> None:
        super().__init__(database, "loginFailures", forgetting("endsAt"))

    @store_call
    def count(self, username: str, address: str) -> tuple[int, float]:
        """Failures in the window that runs, and the seconds until it ends; (0, 0) when none runs."""
        document = self._collection().find_one({"_id": _key(username, address)})
        if document is None:
            return 0, 0.0
        left = (document["endsAt"] - datetime.now(UTC)).total_seconds()
        return (document["failures"], left) if left > 0 else (0, 0.0)

    @store_call
    def add(self, username: str, address: str, window: timedelta) -> None:
        """Count one more failure; the first opens a window of that length."""
        key, now = _key(username, address), datetime.now(UTC)
        collection = self._collection()
        collection.delete_one({"_id": key, "endsAt": {"$lte": now}})
        change = {"$inc": {"failures": 1}, "$setOnInsert": {"endsAt": now + window}}
        try:
            collection.update_one({"_id": key}, change, upsert=True)
        except DuplicateKeyError:  # another process inserted it in between: now it is there to be counted
            collection.update_one({"_id": key}, change, upsert=True)

    @store_call
    def clear(self, username: str, address: str) -> None:
        """Forget the failures: the right password was given."""
        self._collection().delete_one({"_id": _key(username, address)})


def _key(username: str, address: str) -> str:
    # People type passwords into the user name field: it is not kept in the clear.
    return sha256(f"{username}\n{address}".encode()).hexdigest()

"""Bearer tokens of logged-in users. The store has only their SHA-256, so a dump of the database gives no access."""

from __future__ import annotations

from datetime import UTC, datetime

from pymongo import IndexModel
from pymongo.database import Database

from domain.user import Grant
from gateway.mongo.collection import Document, IndexedCollection, forgetting, store_call


class Tokens(IndexedCollection):
    """Grants by the hash of their token. A TTL index removes expired ones. All methods raise StoreUnavailable."""

    def __init__(self, database: Database[Document]) -> None:
        super().__init__(database, "tokens", forgetting("expiresAt"), IndexModel("username"))

    @store_call
    def add(self, digest: str, grant: Grant) -> None:
        """Store a grant under the hash of its token."""
        self._collection().insert_one(
            {"_id": digest, "username": grant.username, "stamp": grant.stamp, "expiresAt": grant.expires_at}
        )

    @store_call
    def get(self, digest: str) -> Grant | None:
        """Return the grant of a token; None if there is none or it has expired."""
        document = self._collection().find_one({"_id": digest})
        # The TTL index removes expired grants only about once a minute.
        if document is None or document["expiresAt"] <= datetime.now(UTC):
            return None
        return Grant(username=document["username"], stamp=document["stamp"], expires_at=document["expiresAt"])

    @store_call
    def remove(self, digest: str) -> None:
        """Delete one token."""
        self._collection().delete_one({"_id": digest})

    @store_call
    def remove_of(self, username: str) -> None:
        """Delete all tokens of a user."""
        self._collection().delete_many({"username": username})

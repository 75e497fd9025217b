"""Bearer tokens of logged-in users. Only their SHA-256 is kept: a dump of the database logs nobody in."""

from __future__ import annotations

from datetime import UTC, datetime

from pymongo import IndexModel
from pymongo.database import Database

from domain.user import Grant
from gateway.mongo.collection import Document, IndexedCollection, forgetting, store_call


class Tokens(IndexedCollection):
    """Grants by the hash of their token; a TTL index removes what has expired. All methods raise StoreUnavailable."""

    def __init__(self, database: Database[Document]) -> None:
        super().__init__(database, "tokens", forgetting("expiresAt"), IndexModel("username"))

    @store_call
    def add(self, digest: str, grant: Grant) -> None:
        """Keep a grant under the hash of its token."""
        self._collection().insert_one(
            {"_id": digest, "username": grant.username, "stamp": grant.stamp, "expiresAt": grant.expires_at}
        )

    @store_call
    def get(self, digest: str) -> Grant | None:
        """The grant of a token, or None when there is none or it has expired."""
        document = self._collection().find_one({"_id": digest})
        # The TTL index removes about once a minute: until then what has expired is still there.
        if document is None or document["expiresAt"] <= datetime.now(UTC):
            return None
        return Grant(username=document["username"], stamp=document["stamp"], expires_at=document["expiresAt"])

    @store_call
    def remove(self, digest: str) -> None:
        """Forget one token."""
        self._collection().delete_one({"_id": digest})

    @store_call
    def remove_of(self, username: str) -> None:
        """Forget all tokens of a user."""
        self._collection().delete_many({"username": username})

"""API keys. The store has only their SHA-256, so a dump of the database gives no access."""

from __future__ import annotations

from datetime import datetime

from pymongo import IndexModel
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from domain.api_key import ApiKey
from domain.errors import Conflict, NotFound
from gateway.mongo.collection import Document, IndexedCollection, change, store_call


class ApiKeys(IndexedCollection):
    """Keys by name, which is the document's id and therefore unique. All methods raise StoreUnavailable."""

    def __init__(self, database: Database[Document]) -> None:
        super().__init__(database, "apiKeys", IndexModel("digest", unique=True))

    @store_call
    def add(self, key: ApiKey) -> None:
        """Store a new key. Raises Conflict if the name is in use."""
        document = {
            "_id": key.name,
            "revision": 1,
            "digest": key.digest,
            "role": key.role,
            "queues": list(key.queues),
            "createdBy": key.created_by,
            "createdAt": key.created_at,
            "expiresAt": key.expires_at,
            "lastUsedAt": key.last_used_at,
        }
        try:
            self._collection().insert_one(document)
        except DuplicateKeyError:
            raise Conflict(f"The API key {key.name!r} already exists.") from None

    @store_call
    def by_digest(self, digest: str) -> ApiKey | None:
        """Return the key with this SHA-256, even if it has expired; None if there is none."""
        document = self._collection().find_one({"digest": digest})
        return None if document is None else _key(document)

    @store_call
    def all(self) -> list[ApiKey]:
        """Return all keys, including expired ones, by name."""
        return [_key(document) for document in self._collection().find().sort("_id", 1)]

    @store_call
    def used(self, key: ApiKey, now: datetime) -> None:
        """Set the time of the key's last use. Do nothing if the key was deleted."""
        change(self._collection(), {"_id": key.name, "digest": key.digest}, lambda _: {"lastUsedAt": now})

    @store_call
    def remove(self, name: str) -> None:
        """Delete a key. Raises NotFound."""
        if not self._collection().delete_one({"_id": name}).deleted_count:
            raise NotFound(f"There is no API key {name!r}.")


def _key(document: Document) -> ApiKey:
    return ApiKey(
        name=document["_id"],
        role=document["role"],
        queues=tuple(document["queues"]),
        digest=document["digest"],
        created_by=document["createdBy"],
        created_at=document["createdAt"],
        expires_at=document["expiresAt"],
        last_used_at=document["lastUsedAt"],
    )

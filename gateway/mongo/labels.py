"""The labels of configurations: which file an object came from. RabbitMQ's objects cannot hold one themselves."""

from __future__ import annotations

from hashlib import sha256

from pymongo.database import Database

from gateway.mongo.collection import Document, IndexedCollection, store_call


class Labels(IndexedCollection):
    """Labels by the kind and key of an object (domain/configuration.py). All methods raise StoreUnavailable."""

    def __init__(self, database: Database[Document]) -> None:
        super().__init__(database, "labels")

    @store_call
    def all(self) -> dict[tuple[str, str], str]:
        """Return all labels by kind and key."""
        return {(one["kind"], one["key"]): one["label"] for one in self._collection().find()}

    @store_call
    def set(self, kind: str, key: str, label: str) -> None:
        """Give an object a label, in place of another."""
        document: Document = {"_id": _id(kind, key), "kind": kind, "key": key, "label": label}
        self._collection().replace_one({"_id": document["_id"]}, document, upsert=True)

    @store_call
    def remove(self, kind: str, key: str) -> None:
        """Take the label from an object, if it has one."""
        self._collection().delete_one({"_id": _id(kind, key)})


def _id(kind: str, key: str) -> str:
    return f"{kind}:{sha256(key.encode()).hexdigest()}"  # a key can be longer than MongoDB's index allows

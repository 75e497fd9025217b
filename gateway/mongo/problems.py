"""The problems that are known: since when each lasts, and who has acknowledged it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from pymongo.database import Database

from domain.problem import Acknowledgement, KnownProblem
from gateway.mongo.collection import Document, IndexedCollection, forgetting, insert_new, store_call

Key = tuple[str, str]
"""A problem's kind and name."""


class Problems(IndexedCollection):
    """Problems by kind and name. All methods raise StoreUnavailable."""

    def __init__(
        self,
        database: Database[Document],
        *,
        renewed: timedelta = timedelta(seconds=20),
        over: timedelta = timedelta(minutes=2),
    ) -> None:
        """A problem is over when no look has seen it for `over`. Looks store the time at most every `renewed`."""
        super().__init__(database, "problems", forgetting("seen", round(over.total_seconds())))
        self._renewed, self._over = renewed, over

    @store_call
    def see(self, current: Mapping[Key, datetime | None], now: datetime) -> dict[Key, KnownProblem]:
        """Record the current problems, each with its start if that is known, and return what is known about each."""
        documents = self._documents(current)
        known = {key: one for key, one in documents.items() if now - one["seen"] < self._over}
        new = {
            key: {"_id": _id(key), "since": start or now, "seen": now, "acknowledged": None}
            for key, start in current.items()
            if key not in known
        }
        if new:
            self._collection().delete_many({"_id": {"$in": [one["_id"] for one in new.values()]}})
            insert_new(self._collection(), list(new.values()))
        for one in known.values():
            if now - one["seen"] > self._renewed:
                # Not $set: the embedded store turns times into strings. A concurrent acknowledgement must not be lost.
                self._collection().replace_one(
                    {"_id": one["_id"], "acknowledged": one["acknowledged"]}, {**one, "seen": now}
                )
        return {key: _known(one) for key, one in {**new, **known}.items()}

    @store_call
    def acknowledgement(self, key: Key) -> Acknowledgement | None:
        """Return who has acknowledged a problem, or None."""
        known = self._documents([key]).get(key)
        return _known(known).acknowledged if known else None

    @store_call
    def acknowledge(self, key: Key, acknowledgement: Acknowledgement | None) -> bool:
        """Store who has acknowledged a problem, or None to withdraw it. Return whether the problem is known."""
        collection = self._collection()
        document = collection.find_one({"_id": _id(key)})
        if document is None:
            return False
        noted = acknowledgement and acknowledgement.model_dump_json()
        return bool(collection.replace_one({"_id": _id(key)}, {**document, "acknowledged": noted}).matched_count)

    def _documents(self, keys: Iterable[Key]) -> dict[Key, Document]:
        by_id = {_id(key): key for key in keys}
        if not by_id:
            return {}
        return {by_id[one["_id"]]: _in_utc(one) for one in self._collection().find({"_id": {"$in": list(by_id)}})}


def _id(key: Key) -> str:
    return " ".join(key)


def _in_utc(document: Document) -> Document:
    return document | {name: document[name].replace(tzinfo=UTC) for name in ("since", "seen")}


def _known(document: Document) -> KnownProblem:
    noted = document["acknowledged"]
    return KnownProblem(document["since"], noted and Acknowledgement.model_validate_json(noted))

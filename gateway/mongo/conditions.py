"""The conditions of the service, with the outbox of the events about each, and the lease of the process that observes
them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, get_args

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from domain.condition import Condition, Event, Key, Kind
from gateway.mongo.collection import Document, IndexedCollection, store_call

_OBSERVER = "observer"
_NEVER = 0.0
_EVENT = frozenset(field.name for field in fields(Event))
_KINDS = frozenset(get_args(Kind))
"""Other releases may know other kinds."""


class Conditions(IndexedCollection):
    """One document for each condition that holds, changes or has unpublished events. Its state and its outbox change in
    the same write, and only if its revision is still the one that was read, so of several processes one records a
    change. Times are numbers (Unix seconds). All methods raise StoreUnavailable."""

    def __init__(self, database: Database[Document]) -> None:
        super().__init__(database, "conditions")
        self._leases = database["leases"]

    @store_call
    def claim(self, process: str, now: float, lease: float) -> float | None:
        """Let `process` observe for `lease` seconds. Return the time of the last observation, 0 if there was none.
        Return None if another process has the lease."""
        mine: Document = {"_id": _OBSERVER, "process": process, "until": now + lease, "observed": now}
        found = self._leases.find_one({"_id": _OBSERVER})
        if found is None:
            try:
                self._leases.insert_one(mine)
            except DuplicateKeyError:
                return None
            return _NEVER
        if found["process"] != process and now < found["until"] <= now + 2 * lease:  # later: by a wrong clock
            return None
        before = {name: found[name] for name in ("_id", "process", "until")}
        return float(found["observed"]) if self._leases.replace_one(before, mine).matched_count else None

    @store_call
    def release(self, process: str, observed: float | None = None) -> None:
        """Give the lease back, so that another process can claim it at once. `observed` is the time of the last
        observation, if the one of the claim did not succeed."""
        mine = {"_id": _OBSERVER, "process": process}
        found = self._leases.find_one(mine)
        if found is not None:
            last = found["observed"] if observed is None else observed
            self._leases.replace_one(mine, mine | {"until": _NEVER, "observed": last})

    @store_call
    def all(self) -> dict[Key, Condition]:
        """Return all stored conditions."""
        found = map(_loaded, self._collection().find({}))
        return {key: condition for key, condition in found if key.kind in _KINDS}

    @store_call
    def put(self, key: Key, condition: Condition) -> bool:
        """Store a condition that was read with its `revision`. Return False if it has changed since."""
        of = {"_id": f"{key.kind} {key.subject}"}
        before = of | {"revision": condition.revision}
        document = of | asdict(condition) | {"revision": condition.revision + 1}
        collection = self._collection()
        if not condition.revision:
            try:
                collection.insert_one(document)
            except DuplicateKeyError:
                return False
            return True
        if condition.blank:
            return bool(collection.delete_one(before).deleted_count)
        return bool(collection.replace_one(before, document).matched_count)


def _loaded(document: Mapping[str, Any]) -> tuple[Key, Condition]:
    kind, _, subject = document["_id"].partition(" ")
    return Key(kind, subject), Condition(
        raised=bool(document["raised"]),  # the embedded store keeps booleans as numbers
        level=int(document["level"]),
        turning_since=document["turning_since"],
        begun=None if document["begun"] is None else _event(document["begun"]),
        outbox=tuple(map(_event, document["outbox"])),
        revision=document["revision"],
    )


def _event(document: Mapping[str, Any]) -> Event:
    """Return the event in a document. Unknown fields are ignored: they are from another release."""
    known = {name: value for name, value in document.items() if name in _EVENT}
    return Event(**known | {"ended": bool(known["ended"])})

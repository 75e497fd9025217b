"""The registry: which consumers there shall be, and in which state. Workers read it and make it so."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

from pymongo import IndexModel
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from domain.consumer import ConsumerSpec
from domain.details import Page
from domain.errors import Conflict, NotFound
from domain.registry import Desired, RegisteredConsumer
from gateway.mongo.collection import Document, IndexedCollection, change, translated
from gateway.mongo.secrets import Sealer, Unreadable

_SEALED = ("headers", "signingSecret")
"""Fields that may hold credentials of a target: never in the clear in the database."""


class ConsumerRegistry:
    """Consumers by id and by unique name. `revision` grows with every change. All methods raise StoreUnavailable."""

    def __init__(self, database: Database[Document], sealer: Sealer) -> None:
        self._collection = IndexedCollection(
            database, "consumers", IndexModel("name", unique=True), IndexModel("queueName")
        )
        self._sealer = sealer

    @translated
    def create(self, spec: ConsumerSpec) -> tuple[RegisteredConsumer, bool]:
        """The consumer, and whether it is new. Its name defaults to the queue's.

        Asking again for the same changes nothing. Raises Conflict when the name belongs to another spec, saying which
        fields differ.
        """
        spec = _named(spec)
        now = _now()
        document = {"_id": secrets.token_hex(8), "revision": 1, "state": "enabled", "reason": None}
        document |= {"createdAt": now, "updatedAt": now, **self._resting(spec)}
        try:
            self._collection().insert_one(document)
        except DuplicateKeyError:
            existing = self.get(spec.name)
            if differing := _differing(existing.spec, spec):
                raise Conflict(
                    f"Consumer {spec.name!r} exists with another {', '.join(differing)}. "
                    "Change it by PATCH /updateConsumer, or give the new one another name."
                ) from None
            return existing, False
        return self._loaded(document), True

    @translated
    def get(self, name_or_id: str) -> RegisteredConsumer:
        """One consumer; an id goes before a name. Raises NotFound."""
        collection = self._collection()
        document = collection.find_one({"_id": name_or_id}) or collection.find_one({"name": name_or_id})
        if document is None:
            raise NotFound(f"There is no consumer {name_or_id!r}.")
        return self._loaded(document)

    @translated
    def find(self, number: int = 1, size: int = 100, queue_name: str | None = None) -> Page[RegisteredConsumer]:
        """One page of the consumers by name, all or one queue's; the first page is 1."""
        wanted: Document = {} if queue_name is None else {"queueName": queue_name}
        collection = self._collection()
        found = collection.find(wanted).sort("name", 1).skip((number - 1) * size).limit(size)
        return Page([self._loaded(document) for document in found], collection.count_documents(wanted))

    @translated
    def enabled(self) -> list[RegisteredConsumer]:
        """All that workers shall run, by name."""
        found = (self._loaded(document) for document in self._collection().find({"state": "enabled"}).sort("name", 1))
        return [consumer for consumer in found if consumer.state == "enabled"]

    @translated
    def update(self, consumer_id: str, spec: ConsumerSpec) -> RegisteredConsumer:
        """Put `spec` in place of the old one; what was suspended is enabled by that, what was paused stays so.

        Raises NotFound, and Conflict when its name is taken.
        """
        spec = _named(spec)
        fields = self._resting(spec)
        try:
            with suppress(NotFound):
                suspended = {"_id": consumer_id, "state": "suspended"}
                return self._changed(suspended, {**fields, "state": "enabled", "reason": None})
            return self._changed({"_id": consumer_id}, fields)
        except DuplicateKeyError:
            raise Conflict(f"Another consumer is called {spec.name!r}.") from None

    @translated
    def set_state(self, consumer_id: str, state: Desired, reason: str | None = None) -> RegisteredConsumer:
        """Enable, pause or suspend a consumer; the same state again changes nothing. Raises NotFound."""
        with suppress(NotFound):
            return self._changed({"_id": consumer_id, "state": {"$ne": state}}, {"state": state, "reason": reason})
        return self.get(consumer_id)

    @translated
    def suspend(self, consumer_id: str, revision: int, reason: str) -> bool:
        """Suspend an enabled consumer on a worker's word, unless somebody changed it since that worker read it.

        Whether it was suspended.
        """
        wanted = {"_id": consumer_id, "revision": revision, "state": "enabled"}
        try:
            self._changed(wanted, {"state": "suspended", "reason": reason})
        except NotFound:
            return False
        return True

    @translated
    def delete(self, consumer_id: str) -> None:
        """Remove a consumer; workers drain it. Raises NotFound."""
        if not self._collection().delete_one({"_id": consumer_id}).deleted_count:
            raise NotFound(f"There is no consumer {consumer_id!r}.")

    def _changed(self, wanted: Document, fields: Mapping[str, object]) -> RegisteredConsumer:
        fields = {**fields, "updatedAt": _now()}
        before = change(self._collection(), wanted, fields)
        if before is None:
            raise NotFound(f"There is no consumer {wanted['_id']!r}.")
        return self._loaded({**before, **fields, "revision": before["revision"] + 1})

    def _resting(self, spec: ConsumerSpec) -> Document:
        fields = spec.stored()
        sealed = {key: fields.pop(key) for key in _SEALED if fields.get(key)}
        for key in _SEALED:
            fields.pop(key, None)
        return {
            "name": spec.name,
            "queueName": spec.queue_name,
            "spec": fields,
            "sealed": self._sealer.seal(sealed) if sealed else None,
        }

    def _loaded(self, document: Document) -> RegisteredConsumer:
        fields, state, reason = dict(document["spec"]), document["state"], document["reason"]
        try:
            if document["sealed"]:
                fields |= self._sealer.open(document["sealed"])
        except Unreadable:
            # One consumer that cannot be read must not hide the others, and must not deliver without its credentials.
            state, reason = (
                "suspended",
                "Its headers and signingSecret were sealed under another SECRET_KEY; set them again.",
            )
        return RegisteredConsumer(
            id=document["_id"],
            spec=ConsumerSpec.model_validate(fields, strict=False),  # lax: the embedded store gives 1 for true
            revision=document["revision"],
            state=state,
            reason=reason,
            created_at=document["createdAt"],
            updated_at=document["updatedAt"],
        )


def _named(spec: ConsumerSpec) -> ConsumerSpec:
    return spec if spec.name else spec.model_copy(update={"name": spec.queue_name})


def _differing(one: ConsumerSpec, other: ConsumerSpec) -> list[str]:
    left, right = one.stored(), other.stored()
    return [key for key in left if left[key] != right[key]]


def _now() -> datetime:
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)  # as MongoDB keeps it

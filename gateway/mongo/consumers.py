"""The registry: the consumers and their desired states, which workers reconcile."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from pymongo import IndexModel
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from delivery.signing import retire
from domain.consumer import ConsumerSpec
from domain.details import Page
from domain.errors import Conflict, NotFound, PreconditionFailed
from domain.overview import ConsumerOutline
from domain.registry import ConsumerFilter, Desired, RegisteredConsumer
from gateway.mongo.collection import Document, IndexedCollection, change, page_of, store_call
from gateway.mongo.consumer_documents import CERTIFICATE_EXPIRES_AT, MISSING, REFUSED_STATUS, ConsumerDocuments
from gateway.mongo.secrets import Sealer, Unreadable

_ALL = ConsumerFilter()


class ConsumerRegistry(IndexedCollection):
    """Consumers by id and by unique name. `revision` grows with every change. All methods raise StoreUnavailable."""

    def __init__(
        self, database: Database[Document], sealer: Sealer, *, signing_overlap: timedelta = timedelta(hours=24)
    ) -> None:
        """A replaced signing secret signs for `signing_overlap` more."""
        super().__init__(
            database, "consumers", IndexModel("name", unique=True), IndexModel("queueName"), IndexModel("router")
        )
        self._signing_overlap = signing_overlap
        self._documents = ConsumerDocuments(sealer)
        self._versions = database["versions"]

    @store_call
    def version(self) -> int:
        """Return a number that grows with every change of the registry, which is cheaper to read than the registry.
        Read the whole registry periodically as well: a process that dies during a change may not update the number."""
        document = self._versions.find_one({"_id": "consumers"})
        return int(document["number"]) if document else 0

    def _touch(self) -> None:
        """Increment the version. Call this before and after a change, so that the version has grown even if the process
        dies, or the store does not answer, in between."""
        self._versions.update_one({"_id": "consumers"}, {"$inc": {"number": 1}}, upsert=True)

    @store_call
    def create(
        self, spec: ConsumerSpec, state: Desired = "enabled", router: str | None = None
    ) -> tuple[RegisteredConsumer, bool]:
        """Create a consumer in this state unless one of its name (by default the queue's) exists. Return the created or
        existing consumer, and whether it is new. `router` is the name of the consumer that has this one as a route."""
        spec = _named(spec)
        now = _now()
        document: Document = {"_id": secrets.token_hex(8), "revision": 1, "state": state, "reason": None}
        document["router"] = router
        document |= {"createdAt": now, "updatedAt": now, **self._documents.resting(document["_id"], spec)}
        if self._collection().find_one({"name": spec.name}, {"_id": 1}) is None:
            self._touch()
        try:
            self._collection().insert_one(document)
        except DuplicateKeyError:
            existing = self._collection().find_one({"name": spec.name})
            return (self._documents.loaded(existing), False) if existing else self.create(spec, state, router)
        self._touch()
        return self._documents.loaded(document), True

    @store_call
    def get(self, name_or_id: str) -> RegisteredConsumer:
        """Return one consumer by id or, if no id matches, by name. Raises NotFound."""
        collection = self._collection()
        document = collection.find_one({"_id": name_or_id}) or collection.find_one({"name": name_or_id})
        if document is None:
            raise NotFound(f"There is no consumer {name_or_id!r}.")
        return self._documents.loaded(document)

    @store_call
    def find(self, number: int = 1, size: int = 100, wanted: ConsumerFilter = _ALL) -> Page[RegisteredConsumer]:
        """Return one page of the matching consumers, by name; the first page is 1."""
        return page_of(self._collection(), _query(wanted), [("name", 1)], number, size, self._documents.loaded)

    @store_call
    def all(self) -> list[RegisteredConsumer]:
        """Return all consumers, by name."""
        return [self._documents.loaded(document) for document in self._collection().find().sort("name", 1)]

    @store_call
    def outlines(self, wanted: ConsumerFilter = _ALL) -> list[ConsumerOutline]:
        """Return the outlines of the matching consumers, by name, without unsealing secrets and without validation."""
        fields = ("_id", "name", "queueName", "state", "reason", "updatedAt", CERTIFICATE_EXPIRES_AT, REFUSED_STATUS)
        found = (
            MISSING | one for one in self._collection().find(_query(wanted), dict.fromkeys(fields, 1)).sort("name", 1)
        )
        return [ConsumerOutline(*(one[field] for field in fields)) for one in found if _is_whole(one)]

    @store_call
    def desired(self) -> list[RegisteredConsumer]:
        """Return the enabled consumers, by name. A consumer whose stored form cannot run is suspended, with the
        reason."""
        found = self._collection().find({"state": "enabled"}).sort("name", 1)
        return [self._documents.loaded(document) for document in found]

    @store_call
    def update(self, consumer_id: str, spec: ConsumerSpec, revision: int | None = None) -> RegisteredConsumer:
        """Replace a consumer's spec. This enables a suspended consumer; a paused one stays paused. A replaced signing
        secret signs for `signing_overlap` more.

        Raises NotFound, Conflict if the name is in use, and PreconditionFailed if the consumer has another `revision`.
        """
        spec = _named(spec)
        wanted: Document = {"_id": consumer_id} if revision is None else {"_id": consumer_id, "revision": revision}

        def fields(document: Document) -> Document:
            before = self._documents.loaded(document)
            retiring = retire(
                before.spec.signing_secret, spec.signing_secret, before.retiring_secrets, _now(), self._signing_overlap
            )
            resting = self._documents.resting(document["_id"], spec, retiring)
            return resting | {"state": "enabled", "reason": None} if document["state"] == "suspended" else resting

        try:
            return self._changed(wanted, fields)
        except NotFound:
            if revision is None or self.get(consumer_id).revision == revision:
                raise
            raise PreconditionFailed(
                f"The consumer no longer has revision {revision}. Read it again, then repeat the change."
            ) from None
        except DuplicateKeyError:
            raise Conflict(f"Another consumer is called {spec.name!r}. Choose another name.") from None

    @store_call
    def set_state(self, consumer_id: str, state: Desired, reason: str | None = None) -> RegisteredConsumer:
        """Enable, pause or suspend a consumer. If it is in that state, nothing changes. Raises NotFound."""
        with suppress(NotFound):
            return self._changed(
                {"_id": consumer_id, "state": {"$ne": state}}, lambda _: {"state": state, "reason": reason}
            )
        return self.get(consumer_id)

    @store_call
    def suspend(self, consumer_id: str, revision: int, reason: str, status: int | None = None) -> bool:
        """Suspend an enabled consumer for a worker, unless its `revision` has changed since the worker read it.
        `status` is the answer of its target. Return whether it was suspended."""
        wanted = {"_id": consumer_id, "revision": revision, "state": "enabled"}
        try:
            self._changed(wanted, lambda _: {"state": "suspended", "reason": reason, REFUSED_STATUS: status})
        except NotFound:
            return False
        return True

    def reseal(self) -> tuple[int, list[str]]:
        """Seal all secrets under the first key, including those that an earlier version stored in plain text.

        Return the number of consumers with secrets, and the names of those whose secrets cannot be opened, with the
        reason; they stay unchanged. If it raises StoreUnavailable, some are sealed; repeat the call for the rest.
        """
        resealed, unreadable = 0, []
        for outline in self.outlines():
            try:
                resealed += self._reseal(outline.id)
            except Unreadable as exc:
                unreadable.append(f"{outline.name} ({exc})")
        return resealed, unreadable

    @store_call
    def _reseal(self, consumer_id: str) -> bool:
        changed = change(self._collection(), {"_id": consumer_id}, self._documents.resealed)
        return bool(changed and changed[1]["sealed"])

    @store_call
    def delete(self, consumer_id: str) -> None:
        """Delete a consumer; workers drain it. Raises NotFound."""
        if self._collection().find_one({"_id": consumer_id}, {"_id": 1}) is not None:
            self._touch()
        if not self._collection().delete_one({"_id": consumer_id}).deleted_count:
            raise NotFound(f"There is no consumer {consumer_id!r}.")
        self._touch()

    def _changed(self, wanted: Document, fields: Callable[[Document], Document]) -> RegisteredConsumer:
        def touched(before: Document) -> Document:
            self._touch()
            return fields(before) | {"updatedAt": _now()}

        changed = change(self._collection(), wanted, touched)
        if changed is None:
            raise NotFound(f"There is no consumer {wanted['_id']!r}.")
        self._touch()
        return self._documents.loaded(changed[1])


def _is_whole(document: Document) -> bool:
    return all(isinstance(document[field], str) for field in ("name", "queueName", "state"))


def _query(wanted: ConsumerFilter) -> Document:
    query: Document = {}
    if wanted.queue_name is not None:
        query["queueName"] = wanted.queue_name
    elif wanted.only:
        query["queueName"] = {"$regex": wanted.only.regex}
    if wanted.name:
        query["name"] = {"$regex": re.escape(wanted.name), "$options": "i"}
    if wanted.routers is not None:
        query["router"] = {"$in": sorted(wanted.routers)}
    if wanted.desired:
        query["state"] = wanted.desired
    if wanted.ids is not None:
        query["_id"] = {"$in": sorted(wanted.ids)}
    elif wanted.not_ids:
        query["_id"] = {"$nin": sorted(wanted.not_ids)}
    return query


def _named(spec: ConsumerSpec) -> ConsumerSpec:
    return spec if spec.name else spec.model_copy(update={"name": spec.queue_name})


def _now() -> datetime:
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)  # MongoDB's precision

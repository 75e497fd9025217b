"""The base of all collections in the store, and the reads and writes that several of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from bson.errors import BSONError
from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DocumentTooLarge, OperationFailure, PyMongoError

from domain.details import Page
from domain.errors import StoreUnavailable
from domain.selection import Order
from gateway.mongo.deadline import limited
from gateway.mongo.failures import DUPLICATE_KEY, INDEX_OPTIONS_CONFLICT, NEVER_STORED, RETRY_AFTER, translated

Document = dict[str, Any]
Entity = TypeVar("Entity")
_MOST_CLASHES = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _InDatabase(Protocol):
    _database: Database[Document]


Params = ParamSpec("Params")
Returned = TypeVar("Returned")
Self = TypeVar("Self", bound=_InDatabase)


def store_call(
    method: Callable[Concatenate[Self, Params], Returned],
) -> Callable[Concatenate[Self, Params], Returned]:
    """Decorate a method that uses the store. Limit its time to the client's timeoutMS, or to the rest of its unit of
    work (see deadline.py), and translate pymongo's exceptions to StoreUnavailable or TooLargeForStore."""

    @wraps(method)
    def call(self: Self, /, *args: Params.args, **kwargs: Params.kwargs) -> Returned:
        try:
            with limited(self._database.client.options.timeout):
                return method(self, *args, **kwargs)
        except (PyMongoError, DocumentTooLarge) as exc:
            raise translated(exc) from exc

    return call


class IndexedCollection:
    """A collection whose indexes are created at its first use in this process, because the store may be down at start.

    Creating an index that exists does nothing on the server.
    """

    def __init__(self, database: Database[Document], name: str, *indexes: IndexModel) -> None:
        self._database = database
        self._name = name
        self._indexes = list(indexes)
        self._ready = not indexes

    def _collection(self) -> Collection[Document]:
        collection = self._database[self._name]
        if not self._ready:
            _make_indexes(collection, self._indexes)
            self._ready = True
        return collection


def forgetting(field: str, seconds: int = 0) -> IndexModel:
    """Return a TTL index: the server deletes a document `seconds` after the time in `field`
    (https://www.mongodb.com/docs/manual/core/index-ttl/)."""
    return IndexModel(field, expireAfterSeconds=seconds)


def log_indexes(kept: int, *searched: str) -> list[IndexModel]:
    """Return the indexes of a log: by time, and by each field in `searched` with the latest entry first. The entries
    have the fields `at` and `micros` (see `micros`), and are removed after `kept` seconds."""
    by_field = (IndexModel([(field, ASCENDING), ("micros", DESCENDING)]) for field in searched)
    return [forgetting("at", kept), IndexModel("micros"), *by_field]


def _make_indexes(collection: Collection[Document], indexes: Sequence[IndexModel]) -> None:
    """Create the indexes. MongoDB refuses a TTL that differs from the existing index's; then change the TTL by collMod
    (https://www.mongodb.com/docs/manual/reference/command/collMod/). The embedded store accepts a different TTL."""
    try:
        collection.create_indexes(indexes)
    except OperationFailure as exc:
        if exc.code != INDEX_OPTIONS_CONFLICT:
            raise
        for index in (one.document for one in indexes if "expireAfterSeconds" in one.document):
            changed = {"keyPattern": index["key"], "expireAfterSeconds": index["expireAfterSeconds"]}
            collection.database.command("collMod", collection.name, index=changed)
        collection.create_indexes(indexes)


def change(
    collection: Collection[Document], wanted: Document, fields: Callable[[Document], Mapping[str, object]]
) -> tuple[Document, Document] | None:
    """Set `fields(document)` on the document that matches `wanted`, and increment its `revision`.

    Return the document before and after the change, or None without a match. The change replaces the whole document if
    its revision still matches, and else is tried again. The embedded store needs this: its `$set` turns times into
    strings, and its find_one_and_update hides duplicate names. Raises DuplicateKeyError, and StoreUnavailable after a
    hundred conflicting changes.
    """
    for _ in range(_MOST_CLASHES):
        if (before := collection.find_one(wanted)) is None:
            return None
        unchanged = {"_id": before["_id"], "revision": before["revision"]}
        after = {**before, **fields(before), "revision": before["revision"] + 1}
        if collection.replace_one(unchanged, after).matched_count:
            return before, after
    raise StoreUnavailable(
        "Other requests keep changing the same document. Try again shortly.", retry_after=RETRY_AFTER
    )


def insert_new(collection: Collection[Document], documents: Sequence[Document]) -> int:
    """Insert the documents, except those whose `_id` exists, because an earlier call has stored them. Return the number
    that can never be stored, for example because they are too large; they must not block the others."""
    try:
        collection.insert_many(documents, ordered=False)
    except BulkWriteError as exc:
        errors = [error["code"] for error in exc.details["writeErrors"] if error["code"] != DUPLICATE_KEY]
        if not NEVER_STORED.issuperset(errors) or exc.details["writeConcernErrors"]:
            raise
        return len(errors)
    except (BSONError, ValueError, OverflowError):  # pymongo cannot encode one of them, but does not report which
        if len(documents) == 1:
            return 1
        return sum(insert_new(collection, [document]) for document in documents)
    return 0


def micros(moment: datetime) -> int:
    """Return a time in Unix microseconds. Logs are searched and sorted by it, because the embedded store compares times
    only to the second, and because entries with equal times could occur on two pages."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def between(since: datetime | None, until: datetime | None) -> Document:
    """Return the condition on a field of `micros`: at or after `since` and before `until`; empty if both are None."""
    bounds = {"$gte": since, "$lt": until}
    return {operator: micros(moment) for operator, moment in bounds.items() if moment is not None}


def ordering(order: Order, names: Mapping[str, str]) -> list[tuple[str, int]]:
    """Return the sort order of a log. `names` maps field names of the API to those in the store, if they differ."""
    fields = dict.fromkeys((names.get(order.by, order.by), names["at"]))
    return [(field, DESCENDING if order.descending else ASCENDING) for field in fields]


def page_of(
    collection: Collection[Document],
    query: Document,
    order: list[tuple[str, int]],
    number: int,
    size: int,
    read: Callable[[Document], Entity],
) -> Page[Entity]:
    """Return one page of the matching documents, in this order, converted by `read`; the first page is 1.

    The total comes from the command `count` (https://www.mongodb.com/docs/manual/reference/command/count/), which takes
    the embedded store 1 ms; pymongo's count_documents, an aggregation, takes 100 ms.
    """
    found = collection.find(query).sort(order).skip((number - 1) * size).limit(size)
    total = collection.database.command("count", collection.name, query=query)["n"]
    return Page([read(document) for document in found], int(total))

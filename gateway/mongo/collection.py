"""A collection of the store as the base of what is kept in it, and the reads and writes that several of them share."""

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
    """Decorate every method that uses the store: limit its time by the client's timeoutMS, or by what its unit of work
    has left (see deadline.py), and let pymongo's exceptions leave it as StoreUnavailable or TooLargeForStore."""

    @wraps(method)
    def call(self: Self, /, *args: Params.args, **kwargs: Params.kwargs) -> Returned:
        try:
            with limited(self._database.client.options.timeout):
                return method(self, *args, **kwargs)
        except (PyMongoError, DocumentTooLarge) as exc:
            raise translated(exc) from exc

    return call


class IndexedCollection:
    """A collection whose indexes are made at its first use in this process, not at start: the store may be down then.

    Making an index that exists is a no-op on the server.
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
    """A TTL index: the server deletes a document `seconds` after the time in its field
    (https://www.mongodb.com/docs/manual/core/index-ttl/)."""
    return IndexModel(field, expireAfterSeconds=seconds)


def log_indexes(kept: int, *searched: str) -> list[IndexModel]:
    """The indexes of a log: by time, and by each field that it is searched by, the latest first. Its entries have
    `micros` beside `at` (see `micros`), and are forgotten after `kept` seconds."""
    by_field = (IndexModel([(field, ASCENDING), ("micros", DESCENDING)]) for field in searched)
    return [forgetting("at", kept), IndexModel("micros"), *by_field]


def _make_indexes(collection: Collection[Document], indexes: Sequence[IndexModel]) -> None:
    """Make them. MongoDB refuses a TTL other than that of the index that is there: change it by collMod
    (https://www.mongodb.com/docs/manual/reference/command/collMod/). The embedded store takes it as it comes."""
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
    """Set `fields(it)` on the one document that is `wanted` and count its `revision` up. It before and after, or None.

    Replaces the whole document where its revision still matches, and tries again where it does not: the embedded store
    keeps types and reports clashing names only so (its `$set` turns times into strings, its find_one_and_update hides
    the clash), and MongoDB does just as well with it. Raises DuplicateKeyError,
    and StoreUnavailable when others were faster a hundred times.
    """
    for _ in range(_MOST_CLASHES):
        if (before := collection.find_one(wanted)) is None:
            return None
        unchanged = {"_id": before["_id"], "revision": before["revision"]}
        after = {**before, **fields(before), "revision": before["revision"] + 1}
        if collection.replace_one(unchanged, after).matched_count:
            return before, after
    raise StoreUnavailable("Others keep changing the same document. Try again shortly.", retry_after=RETRY_AFTER)


def insert_new(collection: Collection[Document], documents: Sequence[Document]) -> int:
    """Insert the documents, except those whose `_id` is there: an earlier try has stored them. Return how many can
    never be stored, as one that is too large: they must not hold up the others."""
    try:
        collection.insert_many(documents, ordered=False)
    except BulkWriteError as exc:
        errors = [error["code"] for error in exc.details["writeErrors"] if error["code"] != DUPLICATE_KEY]
        if not NEVER_STORED.issuperset(errors) or exc.details["writeConcernErrors"]:
            raise
        return len(errors)
    except (BSONError, ValueError, OverflowError):  # pymongo cannot send one of them, and does not say which
        if len(documents) == 1:
            return 1
        return sum(insert_new(collection, [document]) for document in documents)
    return 0


def micros(moment: datetime) -> int:
    """Unix microseconds. What is searched and sorted by time has them beside it: the embedded store compares times to
    the second only, and hardly two things happen in the same microsecond, so that each has its place on one page."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def between(since: datetime | None, until: datetime | None) -> Document:
    """The condition on a field of `micros`: from `since` on and before `until`; empty when both are None."""
    bounds = {"$gte": since, "$lt": until}
    return {operator: micros(moment) for operator, moment in bounds.items() if moment is not None}


def ordering(order: Order, names: Mapping[str, str]) -> list[tuple[str, int]]:
    """What to sort a log by. `names` has the fields' names in the store, where clients know them by others."""
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
    """One page of the documents that fit, in that order, as `read` reads them; the first page is 1.

    Counted by the command `count`: the embedded store takes a tenth of a second for the aggregation that pymongo makes
    of count_documents, and a thousandth for this (https://www.mongodb.com/docs/manual/reference/command/count/).
    """
    found = collection.find(query).sort(order).skip((number - 1) * size).limit(size)
    total = collection.database.command("count", collection.name, query=query)["n"]
    return Page([read(document) for document in found], int(total))

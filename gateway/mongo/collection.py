"""What every collection shares: indexes that are made before the first use, and pymongo's exceptions kept inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError

from domain.details import Page
from domain.errors import StoreUnavailable
from domain.selection import Order
from gateway.mongo.refusals import refusal
from gateway.tls import tls_problem

Document = dict[str, Any]
Entity = TypeVar("Entity")
_DUPLICATE = 11000
"""MongoDB's code for a unique key that is taken (https://www.mongodb.com/docs/manual/reference/error-codes/)."""
_MOST_CLASHES = 100
_NEVER_STORED = frozenset({2, 121, 10334, 17280})
"""BadValue, DocumentValidationFailure, BSONObjectTooLarge, KeyTooLong."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RETRY_AFTER = 2.0  # seconds: about as long as a client takes to find a store that is back


@contextmanager
def _translating() -> Iterator[None]:
    try:
        yield
    except OperationFailure as exc:
        raise StoreUnavailable(refusal(exc), retry_after=RETRY_AFTER) from exc
    except PyMongoError as exc:
        problem = tls_problem(str(exc), "MONGO_URI, as tlsCAFile")
        reason = f": {problem}." if problem else ". Try again shortly."
        raise StoreUnavailable(f"MongoDB cannot be reached{reason}", retry_after=RETRY_AFTER) from exc


translated = _translating()
"""Decorator: pymongo's exceptions leave the function as StoreUnavailable."""


class IndexedCollection:
    """A collection whose indexes are made at its first use in this process, not at start: the store may be down then.

    Call it to get the pymongo collection. Making an index that exists is a no-op on the server.
    """

    def __init__(self, database: Database[Document], name: str, *indexes: IndexModel) -> None:
        self._collection = database[name]
        self._indexes = list(indexes)
        self._ready = not indexes

    def __call__(self) -> Collection[Document]:
        if not self._ready:
            self._collection.create_indexes(self._indexes)
            self._ready = True
        return self._collection


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
        errors = [error["code"] for error in exc.details["writeErrors"] if error["code"] != _DUPLICATE]
        if not _NEVER_STORED.issuperset(errors):
            raise
        return len(errors)
    except (
        ValueError,
        OverflowError,
    ):  # bson's errors are of these: pymongo cannot send one of them, and has not said which
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

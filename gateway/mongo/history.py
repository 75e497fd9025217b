"""The history of queues and consumers, and the counters from which its next measurements are taken."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

from pymongo import ReplaceOne
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from domain.history import PERIODS, Bucket, Key, Period, PeriodName, Readings
from gateway.mongo.collection import Document, IndexedCollection, forgetting, store_call

Buckets = dict[PeriodName, tuple[int, dict[Key, Bucket]]]
"""The current buckets: for each period the bucket's number, and the measurements in it."""

_READINGS = "readings"


class History(IndexedCollection):
    """A document holds one bucket of many queues and consumers, as JSON text: those whose names have the same remainder
    of CRC-32 by `shards`. So their number is bounded by the periods, and a measurement writes few. A TTL index removes
    each when its bucket leaves the period. All methods raise StoreUnavailable."""

    def __init__(
        self, database: Database[Document], *, periods: Mapping[PeriodName, Period] = PERIODS, shards: int = 16
    ) -> None:
        super().__init__(database, "history", forgetting("expires"))
        self.periods = periods
        self._shards = shards

    @store_call
    def latest(self, now: float) -> tuple[Readings | None, Buckets]:
        """Return the latest readings of any process, None before the first, and the buckets that are current at
        `now`."""
        found = self._collection().find_one({"_id": _READINGS})
        current: Buckets = {}
        for name, period in self.periods.items():
            number, buckets = period.number(now), {}
            for document in self._documents(name, range(number, number + 1), range(self._shards)):
                buckets.update(_loaded(document))
            current[name] = number, buckets
        return _read(found) if found else None, current

    @store_call
    def advance(self, before: float | None, readings: Readings) -> bool:
        """Store the readings, if the latest ones are still those of the time `before` (None: if there are none). Return
        whether they were."""
        stored: Document = {"_id": _READINGS, "at": readings.at, "counters": _written(readings)}
        if before is not None:
            return bool(self._collection().replace_one({"_id": _READINGS, "at": before}, stored).matched_count)
        try:
            self._collection().insert_one(stored)
        except DuplicateKeyError:
            return False
        return True

    @store_call
    def put(self, current: Buckets) -> None:
        """Store buckets in place of those with the same numbers."""
        changes = []
        for name, (number, buckets) in current.items():
            period = self.periods[name]
            shards: dict[int, list[list[Any]]] = {}
            for key, one in buckets.items():
                shards.setdefault(self._shard(key), []).append([*key, round(one.seconds, 3), one.counts, one.peaks])
            expires = datetime.fromtimestamp((number + period.buckets + 1) * period.width, UTC)
            for shard, rows in shards.items():
                of = {"_id": _id(name, number, shard)}
                text = json.dumps(rows, separators=(",", ":"))
                changes.append(ReplaceOne(of, of | {"expires": expires, "buckets": text}, upsert=True))
        if changes:
            self._collection().bulk_write(changes, ordered=False)

    @store_call
    def of(self, key: Key, name: PeriodName, now: float) -> dict[int, Bucket]:
        """Return the buckets of one queue or consumer in a period that ends `now`, by number."""
        period, shard = self.periods[name], self._shard(key)
        numbers = range(period.number(now) - period.buckets + 1, period.number(now) + 1)
        loaded = ((_number(one), _loaded(one)) for one in self._documents(name, numbers, (shard,)))
        return {number: buckets[key] for number, buckets in loaded if key in buckets}

    def _documents(self, name: PeriodName, numbers: range, shards: range | tuple[int, ...]) -> list[Document]:
        wanted = [_id(name, number, shard) for number in numbers for shard in shards]
        return list(self._collection().find({"_id": {"$in": wanted}}))

    def _shard(self, key: Key) -> int:
        return crc32(key.subject.encode()) % self._shards


def _id(name: PeriodName, number: int, shard: int) -> str:
    return f"{name} {number} {shard}"


def _number(document: Document) -> int:
    return int(document["_id"].split()[1])


def _loaded(document: Document) -> dict[Key, Bucket]:
    rows = json.loads(document["buckets"])
    return {
        Key(kind, name): Bucket(seconds, tuple(counts), tuple(peaks)) for kind, name, seconds, counts, peaks in rows
    }


def _written(readings: Readings) -> str:
    return json.dumps({"queues": readings.queues, "consumers": readings.consumers}, separators=(",", ":"))


def _read(document: Document) -> Readings:
    counters = json.loads(document["counters"])
    queues, consumers = (
        {name: tuple(counts) for name, counts in counters[kind].items()} for kind in ("queues", "consumers")
    )
    return Readings(document["at"], queues, consumers)

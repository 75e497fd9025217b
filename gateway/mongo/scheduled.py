"""The scheduled messages of the last publishes. A TTL index removes those that were due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from pymongo import IndexModel
from pymongo.database import Database

from domain.schedule import Scheduled
from gateway.mongo.collection import Document, IndexedCollection, forgetting, insert_new, store_call

_MOST = 100
"""Maximum number of messages that `find` returns."""


class ScheduledMessages(IndexedCollection):
    """Scheduled messages, written in batches. All methods raise StoreUnavailable."""

    def __init__(self, database: Database[Document], kept: int) -> None:
        """A message is removed `kept` seconds after it was due."""
        super().__init__(database, "scheduled", forgetting("due", kept), IndexModel("message_id"))

    @store_call
    def add(self, messages: Sequence[Scheduled]) -> int:
        """Store messages. Skip those that an earlier call has stored. Return the number of those that can never be
        stored."""
        return insert_new(self._collection(), [asdict(one) | {"_id": one.key} for one in messages])

    @store_call
    def find(self, message_id: str) -> list[Scheduled]:
        """Return the messages with this id, the first hundred."""
        found = self._collection().find({"message_id": message_id}, {"_id": 0}).limit(_MOST)
        return [Scheduled(**document) for document in found]

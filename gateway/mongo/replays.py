"""Progress of replays of dead letters. A TTL index removes old ones."""

from __future__ import annotations

from datetime import UTC

from pymongo.database import Database

from domain.errors import NotFound
from domain.replay import Replay
from gateway.mongo.collection import Document, IndexedCollection, forgetting, store_call


class Replays(IndexedCollection):
    """Replays by id. All methods raise StoreUnavailable."""

    def __init__(self, database: Database[Document], kept: int) -> None:
        """A replay is removed `kept` seconds after its last progress."""
        super().__init__(database, "replays", forgetting("updatedAt", kept))
        self._days = kept / 86400

    @store_call
    def put(self, replay: Replay) -> None:
        """Store the progress of a replay in place of the previous one."""
        document = replay.model_dump(by_alias=True)
        self._collection().replace_one({"_id": replay.replay_id}, {**document, "_id": replay.replay_id}, upsert=True)

    @store_call
    def get(self, replay_id: str) -> Replay:
        """Return one replay. Raises NotFound."""
        document = self._collection().find_one({"_id": replay_id})
        if document is None:
            raise NotFound(
                f"There is no replay {replay_id!r}. Replays are deleted after {self._days:g} days without progress."
            )
        del document["_id"]
        document["dryRun"] = bool(document["dryRun"])  # the embedded store keeps booleans as numbers
        for moment in ("startedAt", "updatedAt"):
            document[moment] = document[moment].replace(tzinfo=document[moment].tzinfo or UTC)
        return Replay.model_validate(document)

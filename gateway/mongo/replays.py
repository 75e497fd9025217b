"""How far replays of dead letters have come. A TTL index forgets them after a while."""

from __future__ import annotations

from datetime import UTC

from pymongo import IndexModel
from pymongo.database import Database

from domain.errors import NotFound
from domain.replay import Replay
from gateway.mongo.collection import Document, IndexedCollection, translated


class Replays:
    """All methods raise StoreUnavailable."""

    def __init__(self, database: Database[Document], *, forgotten_after: int = 7 * 24 * 3600) -> None:
        """Forget a replay `forgotten_after` seconds after it was last heard of."""
        self._collection = IndexedCollection(
            database, "replays", IndexModel("updatedAt", expireAfterSeconds=forgotten_after)
        )

    @translated
    def put(self, replay: Replay) -> None:
        """Store it, in place of what was known of it before."""
        document = replay.model_dump(by_alias=True)
        self._collection().replace_one({"_id": replay.replay_id}, {**document, "_id": replay.replay_id}, upsert=True)

    @translated
    def get(self, replay_id: str) -> Replay:
        """One replay. Raises NotFound."""
        document = self._collection().find_one({"_id": replay_id})
        if document is None:
            raise NotFound(f"There is no replay {replay_id!r}; they are forgotten after a week.")
        del document["_id"]
        document["dryRun"] = bool(document["dryRun"])  # the embedded store keeps booleans as numbers
        for moment in ("startedAt", "updatedAt"):
            document[moment] = document[moment].replace(tzinfo=document[moment].tzinfo or UTC)
        return Replay.model_validate(document)

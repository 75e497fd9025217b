"""The way to MongoDB, and the one object that holds all that is kept there. Nothing here connects before it must."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pymongo
from pymongo.database import Database

from gateway.mongo.api_keys import ApiKeys
from gateway.mongo.attempts import Attempts
from gateway.mongo.audit import AuditEntries
from gateway.mongo.collection import Document, translated
from gateway.mongo.consumers import ConsumerRegistry
from gateway.mongo.heartbeats import Heartbeats
from gateway.mongo.idempotency import IdempotentAnswers
from gateway.mongo.login_failures import LoginFailures
from gateway.mongo.replays import Replays
from gateway.mongo.secrets import Sealer
from gateway.mongo.tokens import Tokens
from gateway.mongo.users import Users

CLIENT_OPTIONS: dict[str, Any] = {
    "connect": False,
    "tz_aware": True,
    "serverSelectionTimeoutMS": 2000,
    "connectTimeoutMS": 2000,
    "socketTimeoutMS": 5000,
    "appname": "WorkerRMQ",
    "w": "majority",
    "readPreference": "primary",
}
"""For every client: a store that is down is noticed in seconds, so that a request can say so (milliseconds). A change
is kept when its primary is lost, and read by whoever asks next; see uri.py."""


class Store:
    """All collections over one database. Thread-safe, as pymongo is; make one in each process."""

    def __init__(self, database: Database[Document], sealer: Sealer) -> None:
        self._database = database
        self.users = Users(database)
        self.tokens = Tokens(database)
        self.api_keys = ApiKeys(database)
        self.audit = AuditEntries(database)
        self.idempotency = IdempotentAnswers(database, sealer)
        self.login_failures = LoginFailures(database)
        self.consumers = ConsumerRegistry(database, sealer)
        self.heartbeats = Heartbeats(database)
        self.attempts = Attempts(database)
        self.replays = Replays(database)

    @translated
    def ping(self, timeout: float = 1.0) -> None:
        """Return when the store has answered a read, for which it needs to be usable: MongoDB answers the command ping
        without a login. Raises StoreUnavailable after `timeout` seconds."""
        with pymongo.timeout(timeout):
            self._database["versions"].find_one({}, {"_id": 1})

    def close(self) -> None:
        """Close the connections; the store may not be used again."""
        self._database.client.close()


def open_store(uri: str, secret_key: str, data_dir: Path) -> Store:
    """A store outside Flask, as WorkerRMQ.py needs it. Does not wait for MongoDB: it may be down yet.

    `uri` names the database; `secret_key` and `data_dir` are the settings of these names (see secrets.py).
    """
    client: pymongo.MongoClient[Document] = pymongo.MongoClient(uri, **CLIENT_OPTIONS)
    return Store(client.get_default_database(), Sealer.of(secret_key, data_dir))

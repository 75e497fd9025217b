"""The connection to MongoDB, and the object with all collections. Nothing connects before the first operation."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pymongo
from pymongo.database import Database

from gateway.mongo.api_keys import ApiKeys
from gateway.mongo.attempts import Attempts
from gateway.mongo.audit import AuditEntries
from gateway.mongo.collection import Document, store_call
from gateway.mongo.conditions import Conditions
from gateway.mongo.consumers import ConsumerRegistry
from gateway.mongo.deadline import unit_of_work
from gateway.mongo.heartbeats import Heartbeats
from gateway.mongo.history import History
from gateway.mongo.idempotency import IdempotentAnswers
from gateway.mongo.labels import Labels
from gateway.mongo.login_failures import LoginFailures
from gateway.mongo.problems import Problems
from gateway.mongo.replays import Replays
from gateway.mongo.retention import Retention
from gateway.mongo.scheduled import ScheduledMessages
from gateway.mongo.secrets import Sealer
from gateway.mongo.tokens import Tokens
from gateway.mongo.users import Users

_RETENTION = Retention()


def client_options(deadline: float = 5.0) -> dict[str, Any]:
    """Return the options of all clients. A unit of work may wait `deadline` seconds for the store in total
    (deadline.py), and less if no server is reachable. A change survives the loss of its primary, and later reads return
    it; see uri.py."""
    return {
        "connect": False,
        "tz_aware": True,
        "serverSelectionTimeoutMS": 2000,
        "connectTimeoutMS": 2000,
        "timeoutMS": round(deadline * 1000),
        "appname": "WorkerRMQ",
        "w": "majority",
        "readPreference": "primary",
    }


class Store:
    """All collections of one database. Thread-safe, as pymongo is. Create one in each process."""

    def __init__(self, database: Database[Document], sealer: Sealer, retention: Retention = _RETENTION) -> None:
        self._database = database
        self.users = Users(database)
        self.tokens = Tokens(database)
        self.api_keys = ApiKeys(database)
        self.audit = AuditEntries(database, retention.audit)
        self.idempotency = IdempotentAnswers(database, sealer, kept=timedelta(seconds=retention.idempotency))
        self.login_failures = LoginFailures(database)
        self.consumers = ConsumerRegistry(database, sealer)
        self.heartbeats = Heartbeats(database)
        self.history = History(database)
        self.attempts = Attempts(database, retention.attempts)
        self.labels = Labels(database)
        self.problems = Problems(database)
        self.replays = Replays(database, retention.replays)
        self.scheduled = ScheduledMessages(database, retention.scheduled)
        self.conditions = Conditions(database)

    @store_call
    def ping(self, timeout: float = 1.0) -> None:
        """Check that the store answers a read within `timeout` seconds; else raise StoreUnavailable. The command ping
        does not suffice, because MongoDB answers it without a login."""
        with pymongo.timeout(timeout):
            self._database["versions"].find_one({}, {"_id": 1})

    def unit_of_work(self) -> AbstractContextManager[None]:
        """Limit the time that all calls of this thread inside the context wait for the store to that of one call."""
        return unit_of_work(self._database.client.options.timeout)

    def close(self) -> None:
        """Close the connections; the store must not be used afterwards."""
        self._database.client.close()


def open_store(
    uri: str, secret_key: str, data_dir: Path, *, deadline: float = 5.0, retention: Retention = _RETENTION
) -> Store:
    """Return a store for use outside Flask. It does not wait for MongoDB, which may be down.

    `uri` names the database. `secret_key` and `data_dir` are the settings of these names (see secrets.py). `deadline`
    is in seconds (see client_options).
    """
    client: pymongo.MongoClient[Document] = pymongo.MongoClient(uri, **client_options(deadline))
    return Store(client.get_default_database(), Sealer.of(secret_key, data_dir), retention)

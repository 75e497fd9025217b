"""The role that docs/deploy makes for MongoDB is enough: it has the action that each command of the service takes.

Commands are read off pymongo. No MongoDB with logins takes part, as none can be installed from the packages here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo import monitoring

from tests.api.conftest import MakeApp
from tests.api.service import Service
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.store import StoreNode
from tests.support.target import Target

ROLE = (Path(__file__).parents[2] / "docs" / "deploy" / "mongo-role.js").read_text()
GRANTED = set(re.findall(r'^ +"(\w+)",', ROLE, re.MULTILINE))

ACTIONS = {
    "find": {"find"},
    "getMore": {"find"},
    "count": {"find"},
    "aggregate": {"find"},
    "insert": {"insert"},
    "update": {"update"},
    "delete": {"remove"},
    "createIndexes": {"createIndex"},
    "collMod": {"collMod"},
}
"""The actions that each command requires; an upsert also requires `insert`
(https://www.mongodb.com/docs/manual/reference/privilege-actions/)."""
FREE = {"hello", "ping", "endSessions", "killCursors"}
"""Commands that take no privilege, killCursors for cursors of one's own."""


class Commands(monitoring.CommandListener):
    """The commands that pymongo sends, with their databases."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, str]] = set()
        self.upserts = False

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.seen.add((event.command_name, event.database_name))
        self.upserts |= any(one.get("upsert") for one in event.command.get("updates", ()))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


@pytest.fixture
def commands() -> Iterator[Commands]:
    """Of all clients that are made from now on: pymongo has no way to unregister, so it stays."""
    listener = Commands()
    monitoring.register(listener)
    return listener


def test_the_role_allows_every_command_and_no_action_that_none_needs(
    commands: Commands, store: StoreNode, make_app: MakeApp, embedded: BrokerNode, target: Target
) -> None:
    places = {"rabbitmq_url": embedded.amqp_url, "rabbitmq_management_url": embedded.management_url}
    service = Service(make_app(mongo_uri=store.uri("role"), consumers="inline", **places))
    wait_until(lambda: service.get("/health/ready").status_code == 200, 20, "the service being ready")
    use(service, target)

    ours = {name for name, database in commands.seen if database == "role"}
    assert {name for name, database in commands.seen if database != "role"} <= FREE, "it keeps to its own database"
    assert ours - FREE <= set(ACTIONS), "an action for each command"
    taken = set[str]().union(*(ACTIONS[name] for name in ours - FREE)) | ({"insert"} if commands.upserts else set())
    assert taken <= GRANTED
    assert GRANTED - taken <= {"collMod"}, "no more than that"


def use(service: Service, target: Target) -> None:
    """Store each kind of document: users, tokens, keys, consumers, attempts, replays, audit entries, kept answers."""
    user = {"username": "alice", "password": "a good password", "role": "viewer"}
    assert service.post("/createUser", user).status_code == 201
    assert service.patch("/updateUser", {"username": "alice", "role": "operator"}).status_code == 200
    wrong = {"username": "alice", "password": "wrong"}
    assert service.post("/login", wrong).status_code == 401
    key = {"name": "shop", "role": "publisher"}
    assert service.post("/createApiKey", key, headers={"Idempotency-Key": "once"}).status_code == 201
    assert service.post("/createQueue", {"queueName": "q"}).status_code == 201
    wanted = {"queueName": "q", "url": target.url("/status/400"), "headers": {"X-Pin": "1"}}
    assert service.post("/createConsumer", wanted).status_code == 201
    assert service.post("/messagePublish", {"queueName": "q", "message": "x"}).status_code == 200
    wait_until(lambda: service.get("/getDeliveries").json, 20, "the attempt in the log")
    replay = service.post("/replayDeadLetters", {"queueName": "q"}).json
    wait_until(
        lambda: service.get("/getReplay", replayId=replay["replayId"]).json["state"] != "running", 20, "the replay"
    )
    wait_until(lambda: service.get("/getAuditLog").json, 20, "the audit log")
    for path in ("/getUsers", "/getApiKeys", "/getConsumers", "/getOverview", "/metrics"):
        assert service.get(path).status_code == 200
    service.store.consumers.reseal()
    assert service.delete("/deleteApiKey", {"name": "shop"}).status_code == 200
    assert service.delete("/deleteConsumer", {"name": "q"}).status_code == 200
    assert service.delete("/deleteUser", {"username": "alice"}).status_code == 200

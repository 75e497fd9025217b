"""Every route × every credential that is not good enough: 401 or 403, nothing done, nothing told.

What there is to be called, and by which requests, is taken from the registry and from the API's own description: a new
route is covered by being one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pymongo
import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app import APIS
from domain.api_key import ApiKey
from domain.names import EVENTS
from domain.user import RANKS, Grant, Role
from routes.api import Operation
from services.api_keys import digest
from tests.api.client import ADMIN, PASSWORD, Api
from tests.api.conftest import database_of
from tests.api.service import Service
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.store import StoreNode

pytestmark = pytest.mark.broker_independent

PROTECTED = [operation for routes in APIS for operation in routes.operations if operation.role is not None]
ROLES: tuple[Role, ...] = get_args(Role)
LISTS_OF_QUEUES = {"/getQueues", "/getConsumers", "/getDeliveries"}
"""These show a key with patterns what is its own, which is nothing here."""
WRITTEN_OF_EVERY_REQUEST = {"audit", "loginFailures", "idempotency"}
OBSERVED = {"heartbeats", "reports", "conditions", "history", "leases", "problems"}
"""The service writes these in the background."""
SECRETS = ("canary", "erp.example")


def named(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def wanted_of(operation: Operation, document: dict[str, Any]) -> dict[str, Any]:
    """A request that would be carried out, from the example of the document."""
    described = document["paths"][operation.path][operation.method.lower()]
    if "requestBody" in described:
        return {"json": described["requestBody"]["content"]["application/json"]["example"]}
    needed = [one for one in described.get("parameters", []) if one["required"] or "example" in one]
    return {"query_string": {one["name"]: one.get("example", "x") for one in needed}}


@pytest.fixture
def furnished(service: Service, broker: BrokerNode) -> Service:
    """The service with what the examples of the document speak of. It has declared its own exchange."""
    wait_until(lambda: broker.management.get("exchanges", "/", EVENTS).ok, 30, "the exchange of events")
    for queue in ("orders", "orders.dlq"):
        assert service.post("/createQueue", {"queueName": queue}).status_code == 201
        assert service.post("/messagePublish", {"queueName": queue, "message": "canary"}).status_code == 200
    consumer = {"queueName": "orders", "name": "orders-erp", "url": "https://erp.example/canary"}
    assert service.post("/createConsumer", consumer).status_code == 201
    user = {"username": "alice", "password": PASSWORD, "role": "viewer"}
    assert service.post("/createUser", user).status_code == 201
    assert service.post("/createApiKey", {"name": "shop", "role": "viewer"}).status_code == 201
    return service


@pytest.fixture
def state(broker: BrokerNode, store: StoreNode, unique_name: str) -> Callable[[], Any]:
    """Return a function that reads the state of broker and store, except the time of a key's last use."""

    def look() -> Any:
        definitions = broker.management.get("definitions").json()
        with broker.connect() as connection:
            channel = connection.channel()
            counts = [
                channel.queue_declare(one["name"], passive=True).method.message_count for one in definitions["queues"]
            ]
        with pymongo.MongoClient[dict[str, Any]](store.uri(database_of(unique_name))) as client:
            database = client.get_default_database()
            kept = {
                name: [
                    {field: value for field, value in one.items() if field not in {"lastUsedAt", "revision"}}
                    for one in database[name].find().sort("_id", 1)
                ]
                for name in database.list_collection_names()
                if name not in WRITTEN_OF_EVERY_REQUEST | OBSERVED
            }
        return definitions, counts, {name: documents for name, documents in kept.items() if documents}

    return look


def nobodys(_service: Service) -> list[str | None]:
    """No Authorization header, and nonsense in it."""
    bearers = ("", " ", "x", "é", "a" * 4000, "wrmq_x")
    return [None, "Bearer", "Basic YTpi", *(f"Bearer {token}" for token in bearers)]


def ended(service: Service) -> list[str | None]:
    """Tokens and keys that were good until a moment ago: expired, logged out, of users and keys that are gone."""
    tokens: dict[str, str | None] = {}
    for name in ("logged out", "disabled", "deleted", "new password"):
        user = service.as_user(name.replace(" ", "-"), "admin")
        assert user("GET", "/getUsers").status_code == 200, "it is cached"
        tokens[name] = user.token
    leaver = Api(service.app)
    leaver.token = tokens["logged out"]
    assert leaver("POST", "/logout").status_code == 200
    for username, change in (("disabled", {"disabled": True}), ("new-password", {"password": "another good one"})):
        assert service.patch("/updateUser", {"username": username, **change}).status_code == 200
    assert service.delete("/deleteUser", {"username": "deleted"}).status_code == 200
    made = service.post("/createApiKey", {"name": "gone", "role": "admin"})
    tokens["deleted key"] = made.json["key"]
    assert service.delete("/deleteApiKey", {"name": "gone"}).status_code == 200
    past = datetime.now(UTC) - timedelta(seconds=1)
    admin = service.store.users.get(ADMIN)
    service.store.tokens.add(digest("expired"), Grant(ADMIN, admin.stamp, past))
    service.store.api_keys.add(ApiKey("late", "admin", (), digest("wrmq_expired"), ADMIN, past, past))
    every = [*tokens.values(), "expired", "wrmq_expired", str(service.token)[:-1]]
    return [f"Bearer {token}" for token in every]


def ask(app: Flask, operation: Operation, **options: Any) -> TestResponse:
    return Api(app)(operation.method, operation.path, **options)


def assert_refused(answer: TestResponse, statuses: set[int], codes: set[str], what: str) -> None:
    assert answer.status_code in statuses, what
    assert answer.json["code"] in codes, what
    assert not [secret for secret in SECRETS if secret in answer.text], what
    assert answer.content_type == "application/problem+json", what


@pytest.mark.parametrize("credentials", [nobodys, ended])
def test_a_credential_that_is_none_or_has_ended_gets_401_from_every_route_and_does_nothing(
    furnished: Service, state: Callable[[], Any], credentials: Callable[[Service], list[str | None]]
) -> None:
    document = furnished.get("/openapi.json").json
    given = credentials(furnished)
    before = state()
    for operation in PROTECTED:
        for one in given:
            sent = {} if one is None else {"Authorization": one}
            answer = ask(furnished.app, operation, headers=sent, **wanted_of(operation, document))
            what = f"{named(operation)} with {one!r}"
            assert_refused(answer, {401}, {"unauthenticated", "token_invalid"}, what)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer"), what
    assert state() == before


def test_a_role_or_a_key_of_that_role_reaches_no_further_than_it_says_and_does_nothing_beyond(
    furnished: Service, state: Callable[[], Any]
) -> None:
    document = furnished.get("/openapi.json").json
    tokens: list[tuple[Role, str, Any]] = []
    for role in ROLES[:-1]:
        key = furnished.post("/createApiKey", {"name": f"{role}-key", "role": role}).json["key"]
        tokens += [(role, "user", furnished.as_user(f"a-{role}", role).token), (role, "key", key)]
    before = state()
    for operation in PROTECTED:
        assert operation.role is not None
        for role, kind, token in tokens:
            if RANKS[role] < RANKS[operation.role]:
                sent = {"headers": {"Authorization": f"Bearer {token}"}, **wanted_of(operation, document)}
                answer = ask(furnished.app, operation, **sent)
                assert_refused(answer, {403}, {"forbidden"}, f"{named(operation)} as {role} by {kind}")
                assert operation.role in answer.json["detail"]
    assert state() == before


@pytest.mark.broker_independent
def test_an_unauthenticated_request_is_refused_before_its_body_is_read(service: Service) -> None:
    for operation in PROTECTED:
        answer = ask(service.app, operation, data=b"not even JSON", content_type="text/canary")
        assert_refused(answer, {401}, {"unauthenticated"}, named(operation))


def test_a_key_for_other_queues_is_refused_by_every_route_or_shown_an_empty_list_and_does_nothing(
    furnished: Service, state: Callable[[], Any]
) -> None:
    document = furnished.get("/openapi.json").json
    made = furnished.post("/createApiKey", {"name": "else", "role": "admin", "queues": ["somewhere.else.*"]})
    sent = {"Authorization": f"Bearer {made.json['key']}"}
    before = state()
    for operation in PROTECTED:
        answer = ask(furnished.app, operation, headers=sent, **wanted_of(operation, document))
        if operation.path in LISTS_OF_QUEUES:
            assert (answer.status_code, answer.json, answer.headers["X-Total-Count"]) == (200, [], "0"), operation.path
        elif operation.path == "/getMessage":
            assert (answer.status_code, answer.json["places"], answer.json["events"]) == (200, [], [])
        else:
            assert_refused(answer, {403}, {"outside_key_scope"}, named(operation))
    assert state() == before

"""A web worker that is killed while it applies a configuration: applied again, it ends right."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pymongo
import pytest
import requests

from tests.api.client import Gunicorn, workers_of
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.server import running
from tests.support.store import StoreNode

NAMES = [f"q{number:02}" for number in range(30)]
ADMIN = {"username": "admin", "role": "admin"}
CONFIGURATION: dict[str, Any] = {
    "label": "shop",
    "exchanges": [{"exchange": name, "type": "topic"} for name in NAMES],
    "queues": [{"queueName": name, "maxLength": 5} for name in NAMES],
    "bindings": [{"exchange": name, "queueName": name, "routingKey": "#"} for name in NAMES],
    "policies": [{"name": name, "pattern": f"^{name}$", "definition": {"max-length": 4}} for name in NAMES],
    "consumers": [
        {"queueName": name, "url": "http://127.0.0.1:9/", "name": name, "paused": True} for name in NAMES
    ],
    "apiKeys": [{"name": name, "role": "viewer"} for name in NAMES],
    "users": [ADMIN],
}  # fmt: skip
EMPTY = {"label": "shop", "users": [ADMIN]}


class Client:
    """An admin of a service."""

    def __init__(self, server: Gunicorn) -> None:
        self._server = server
        self._token = server.login()

    def apply(self, configuration: dict[str, Any], **options: bool) -> list[dict[str, Any]]:
        """Apply a configuration; return the steps."""
        body = {"configuration": configuration, **options}
        answer = self._server.call("POST", "/applyConfiguration", self._token, json=body)
        assert answer.ok, answer.text
        steps: list[dict[str, Any]] = answer.json()["steps"]
        return steps

    def exported(self) -> dict[str, Any]:
        """Return the configuration of all objects with the label."""
        answer = self._server.call("GET", "/exportConfiguration", self._token, params={"label": "shop"})
        assert answer.ok, answer.text
        found: dict[str, Any] = answer.json()["configuration"]
        return found

    def apply_and_kill(self, when: Callable[[], object], configuration: dict[str, Any], **options: bool) -> None:
        """Apply a configuration, and kill the worker as soon as `when` holds."""

        def interrupted() -> None:
            with suppress(requests.RequestException):
                self.apply(configuration, **options)

        with ThreadPoolExecutor(1) as clients:
            applying = clients.submit(interrupted)
            wait_until(when, 30, "a part of the changes")
            [worker] = workers_of(self._server)
            os.kill(worker, signal.SIGKILL)
            applying.result()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until a worker is ready."""
        wait_until(lambda: self._server.call("GET", "/health/ready").ok, 30, "readiness")


@pytest.fixture
def client(broker: BrokerNode, store: StoreNode, tmp_path: Path) -> Iterator[Client]:
    """An admin of a service with one worker."""
    settings = broker.settings | {"MONGO_URI": store.uri("applied"), "TARGET_ALLOW": "127.0.0.0/8"}
    with running(Gunicorn(tmp_path, settings)) as server:
        wait_until(lambda: server.call("GET", "/health/ready").ok, 20, "readiness")
        yield Client(server)


def test_an_apply_and_a_prune_that_are_killed_are_completed_by_the_next(
    client: Client, broker: BrokerNode, store: StoreNode
) -> None:
    def there(kind: str) -> int:
        return sum(one["name"] in NAMES for one in broker.management.get(kind, "/").json())

    def consumers() -> int:
        with pymongo.MongoClient[dict[str, Any]](store.uri("applied")) as mongo:
            return len(list(mongo["applied"]["consumers"].find({})))

    for halfway in (lambda: there("queues") > 15, lambda: consumers() > 15):
        client.apply_and_kill(halfway, CONFIGURATION)
        assert client.apply(CONFIGURATION, dryRun=True), "it was killed before its end"
    client.apply(CONFIGURATION)
    assert client.apply(CONFIGURATION, dryRun=True, prune=True) == []
    assert client.exported() == CONFIGURATION

    client.apply_and_kill(lambda: there("queues") < 20, EMPTY, prune=True)
    assert client.apply(EMPTY, dryRun=True, prune=True), "it was killed before its end"
    client.apply(EMPTY, prune=True)
    assert client.exported() == EMPTY
    assert there("queues") == there("exchanges") == there("policies") == consumers() == 0


def test_an_apply_ends_soon_when_the_broker_goes_down_and_the_next_completes_it(
    client: Client, broker: BrokerNode
) -> None:
    def there() -> int:
        return sum(one["name"] in NAMES for one in broker.management.get("queues", "/").json())

    with ThreadPoolExecutor(1) as clients:
        applying = clients.submit(client.apply, CONFIGURATION)
        wait_until(lambda: there() > 10, 30, "a part of the changes")
        broker.kill()
        steps = applying.result()
    states = [step["state"] for step in steps]
    assert states == sorted(states), "nothing is tried after the first failure"
    assert set(states) == {"done", "failed"}
    broker.start()
    client.wait_ready()
    client.apply(CONFIGURATION)
    assert client.exported() == CONFIGURATION

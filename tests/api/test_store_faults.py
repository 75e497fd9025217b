"""The API on a store that refuses, delays or loses single commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.api.client import ADMIN, Api, add_user
from tests.api.conftest import MakeApp
from tests.api.service import assert_problem
from tests.support.mongo_proxy import Fault, MongoProxy, refusal
from tests.support.processes import wait_until

PASSWORD = "correct horse battery"


@pytest.fixture
def broken_api(make_app: MakeApp, mongo_proxy: MongoProxy) -> Callable[..., Api]:
    """Makes a client, logged in as admin, of an app whose store is behind the proxy."""

    def make(**settings: Any) -> Api:
        client = Api(make_app(mongo_uri=f"mongodb://127.0.0.1:{mongo_proxy.port}/api", **settings))
        add_user(client.app, ADMIN, "admin")
        assert client.login().status_code == 200
        return client

    return make


def said(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str | None]]:
    """Return the log's events about the store since the last call, each with its reason."""
    read = capsys.readouterr()
    lines = [json.loads(line) for line in (read.out + read.err).splitlines() if '"dependency_' in line]
    return [(line["event"], line.get("reason")) for line in lines if line["dependency"] == "store"]


def wait_said(capsys: pytest.CaptureFixture[str], count: int) -> list[tuple[str, str | None]]:
    """Wait for that many of these events: the log can come after the answer."""
    told: list[tuple[str, str | None]] = []
    wait_until(lambda: told.extend(said(capsys)) or len(told) >= count)
    return told


def test_ready_and_the_log_have_the_servers_words_and_the_log_has_them_once(
    broken_api: Callable[..., Api], mongo_proxy: MongoProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    api = broken_api(log_format="json")

    def store() -> dict[str, Any]:
        found: dict[str, Any] = api("GET", "/health/ready").json["dependencies"]["store"]
        return found

    wait_until(lambda: store()["up"])
    capsys.readouterr()
    unauthorized = "MongoDB's user lacks a permission. Use the role that docs/deploy/mongo-role.js creates."
    authentication = "MongoDB refuses the login: wrong user, password or authSource in MONGO_URI."
    for _ in range(2):
        mongo_proxy.faults = [Fault("find", answer=refusal(13, "Unauthorized"))]
        for _ in range(3):
            wait_until(lambda: store()["detail"] == unauthorized)
        mongo_proxy.faults = [Fault("find", answer=refusal(18, "AuthenticationFailed"))]
        for _ in range(3):
            wait_until(lambda: store()["detail"] == authentication)
        mongo_proxy.faults = []
        wait_until(lambda: store()["up"])
        assert wait_said(capsys, 3) == [
            ("dependency_unavailable", unauthorized),
            ("dependency_unavailable", authentication),
            ("dependency_available", None),
        ]


def test_a_background_failure_during_an_outage_is_logged_once_and_not_with_each_try(
    broken_api: Callable[..., Api], mongo_proxy: MongoProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    api = broken_api(log_format="json")
    capsys.readouterr()
    mongo_proxy.faults = [Fault("insert", "audit", refusal(13, "Unauthorized"))]

    def tries() -> int:
        return sum(command.get("insert") == "audit" for command in mongo_proxy.seen)

    before = tries()
    api("DELETE", "/deleteUser", json={"username": "nobody"})
    wait_until(lambda: tries() >= before + 3, 20, "the entry being written again and again")
    mongo_proxy.faults = []
    wait_until(lambda: api("GET", "/getAuditLog?action=deleteUser").json, 20, "the entry")
    assert [event for event, _ in wait_said(capsys, 2)] == ["dependency_unavailable", "dependency_available"]


def test_a_request_has_one_deadline_for_all_that_it_asks_of_the_store(
    broken_api: Callable[..., Api], mongo_proxy: MongoProxy
) -> None:
    api = broken_api()
    mongo_proxy.faults = [Fault(command, delay=2) for command in ("find", "insert", "update", "delete")]
    body = {"username": "carol", "password": PASSWORD, "role": "viewer"}
    answer = api("POST", "/createUser", json=body, headers={"Idempotency-Key": "k"})
    assert_problem(answer, 503, "store_unavailable", "did not answer in time")


def test_a_document_that_is_too_large_for_the_store_is_413(broken_api: Callable[..., Api]) -> None:
    api = broken_api(max_body_bytes=64 * 2**20)
    body = {"queueName": "orders", "url": "http://127.0.0.1/", "headers": {"X-Long": "x" * 20 * 2**20}}
    assert_problem(api("POST", "/createConsumer", json=body), 413, "too_large_for_store", "16 MiB")
    assert api("GET", "/getConsumers").json == []

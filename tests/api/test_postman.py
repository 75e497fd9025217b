"""GET /postman.json, run by Postman's own newman: the tour delivers a message, and every request is well-formed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.api.client import ADMIN, PASSWORD, Gunicorn, whole_service
from tests.support import newman
from tests.support.target import Target


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    newman.newman()
    with whole_service(tmp_path_factory.mktemp("postman")) as gunicorn:
        yield gunicorn


@pytest.fixture
def collection(service: Gunicorn, tmp_path: Path) -> Path:
    """The collection, as a customer imports it."""
    answer = requests.get(f"{service.url}/postman.json", timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    file = tmp_path / "postman.json"
    file.write_bytes(answer.content)
    return file


def test_the_tour_does_the_main_job(collection: Path, target: Target) -> None:
    done, requested = newman.run(collection, "--folder", "tour", password=PASSWORD, targetUrl=target.url())

    assert done.returncode == 0, done.stdout
    assert [request.body for request in target.requests] == [b"Hello, World!"]
    assert [one["item"]["name"] for one in requested][-1] == "Delete its dead-letter queue"


def test_every_request_is_well_formed(collection: Path, service: Gunicorn) -> None:
    content = json.loads(collection.read_text())
    content["item"] = [folder for folder in content["item"] if folder["name"] != "tour"]
    requests_of = {folder["name"]: folder["item"] for folder in content["item"]}
    login, *ending = (next(_named(requests_of["users"], path)) for path in ("login", "logout", "changePassword"))
    login["request"]["body"]["raw"] = json.dumps({"username": ADMIN, "password": PASSWORD})
    for request in ending:  # they end the login
        requests_of["users"].remove(request)
    content["item"].insert(0, login)
    collection.write_text(json.dumps(content))

    _, requested = newman.run(collection)

    answers = {
        f"{one['item']['name']} ({one['response']['code']})": bytes(one["response"]["stream"]["data"]).decode()
        for one in requested
        if one["response"]["code"] not in {200, 201, 202}
    }
    unexpected = {
        name: body for name, body in answers.items() if not any(f'"code":"{code}"' in body for code in _EXPECTED)
    }
    assert not unexpected
    assert len(requested) == sum(len(folder) for folder in requests_of.values()) + 1


_EXPECTED = (
    "binding_not_found",
    "connection_not_found",
    "consumer_not_found",
    "exchange_not_found",
    "not_found",
    "problem_not_found",
    "queue_not_found",
    "unroutable",
)
"""The requests run by folder, so some come after the deletion of their subject."""


def _named(items: list[Any], path: str) -> Iterator[Any]:
    return (item for item in items if item["request"]["url"]["path"] == [path])

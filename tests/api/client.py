"""The API as a client sees it, in this process (Flask's test client) or through a real gunicorn."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import bcrypt
import requests
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app import APIS
from domain.user import Role, User
from routes.openapi import refusals_of
from tests.support.embedded import EmbeddedNode
from tests.support.processes import Process, free_port
from tests.support.server import Server, running
from tests.support.store import StoreNode

ADMIN, PASSWORD = "admin", "correct horse battery"
ROOT = Path(__file__).resolve().parents[2]


def add_user(app: Flask, username: str, role: Role, password: str = PASSWORD) -> None:
    """Store a user with the least hash that bcrypt takes: how long a login takes is no matter of most tests."""
    now = datetime.now(UTC)
    password_hash = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    app.extensions["store"].users.add(User(username, role, password_hash, secrets.token_hex(4), now, now))


class Api:
    """One client of an app in this process; logs in as the first admin unless told otherwise."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self._client: FlaskClient = app.test_client()
        self.token: str | None = None

    def login(self, username: str = ADMIN, password: str = PASSWORD) -> TestResponse:
        """The answer of POST /login; from then on requests carry its token."""
        answer = self("POST", "/login", json={"username": username, "password": password})
        self.token = answer.get_json()["token"] if answer.status_code == 200 else self.token
        return answer

    def as_user(self, username: str, role: Role, password: str = PASSWORD) -> Api:
        """Another client, logged in as a new user of that role."""
        add_user(self.app, username, role, password)
        other = Api(self.app)
        assert other.login(username, password).status_code == 200
        return other

    def __call__(self, method: str, path: str, **options: Any) -> TestResponse:
        """Make a request. Options as for werkzeug's EnvironBuilder."""
        headers = dict(options.pop("headers", {}))
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        answer = self._client.open(path, method=method, headers=headers, **options)
        if answer.content_type == "application/problem+json":
            assert_documented(method, urlsplit(path).path, answer.status_code, answer.get_json()["code"])
        return answer


def assert_documented(method: str, path: str, status: int, code: str) -> None:
    """The OpenAPI document lists this error of a route."""
    for one in (one for routes in APIS for one in routes.operations if (one.method, one.path) == (method, path)):
        assert f"{status} {code}" in refusals_of(one), f"undocumented: {method} {path} answers {status} {code}"


class Gunicorn(Server):
    """`gunicorn wsgi:app` on a free port."""

    def __init__(self, directory: Path, settings: Mapping[str, str], *options: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        defaults = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "DATA_DIR": str(directory / "var"),
            "ADMIN_PASSWORD": PASSWORD,
            "LOG_FORMAT": "json",
            "CONSUMERS": "external",
        }
        command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{self.port}", *options, "wsgi:app"]
        self.process = Process(command, directory / "gunicorn.log", {**defaults, **settings}, ROOT)

    def start(self) -> None:
        self.process.start()
        self.process.wait_ready(self.live, 60)

    def live(self) -> bool:
        """Whether it answers."""
        try:
            return requests.get(f"{self.url}/health/live", timeout=1).ok
        except requests.RequestException:
            return False

    def call(self, method: str, path: str, token: str | None = None, **options: Any) -> requests.Response:
        """Send one request over a new connection."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= options.pop("headers", {})
        answer = requests.request(method, self.url + path, headers=headers, timeout=30, **options)
        if answer.headers.get("Content-Type") == "application/problem+json":
            assert_documented(method, urlsplit(path).path, answer.status_code, answer.json()["code"])
        return answer

    def login(self, username: str = ADMIN, password: str = PASSWORD) -> str:
        """A new token."""
        answer = self.call("POST", "/login", json={"username": username, "password": password})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["token"])


def workers_of(server: Gunicorn) -> list[int]:
    """The process numbers of gunicorn's workers."""
    pid = server.process.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def whole_service(directory: Path) -> Iterator[Gunicorn]:
    """One with its consumers inside, over an embedded broker and a separate store."""
    with running(EmbeddedNode(directory / "broker")) as broker, running(StoreNode(directory / "store")) as store:
        usual = {"MONGO_URI": store.uri("service"), "TARGET_ALLOW": "127.0.0.0/8", "CONSUMERS": "inline"}
        with running(Gunicorn(directory, broker.settings | usual)) as service:
            yield service

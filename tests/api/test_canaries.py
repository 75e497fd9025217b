"""Canaries: secrets that can be recognised go in by every way there is; then everything that comes out is searched."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from app import APIS
from tests.api.client import ADMIN, Gunicorn
from tests.support.certificates import Authority
from tests.support.embedded import EmbeddedNode
from tests.support.processes import Process, free_port, wait_until
from tests.support.store import StoreNode
from tests.support.target import Target
from tests.support.token_server import TokenServer
from tests.support.worker import worker_process

MARK = os.urandom(4).hex()
LISTS = [one.path for routes in APIS for one in routes.operations if one.method == "GET"]


def canary(name: str) -> str:
    return f"canary-{name}-{MARK}"


def signing_secret(name: str) -> str:
    return "whsec_" + base64.b64encode(canary(name).encode().ljust(32, b".")).decode()


class Everything:
    """The service's inputs and outputs. A `secret` may be in the inputs, and must not be in the outputs."""

    def __init__(self) -> None:
        self.secrets: list[str] = []
        self.answers: list[str] = []

    def secret(self, value: str) -> str:
        self.secrets.append(value)
        return value

    def call(self, server: Gunicorn, method: str, path: str, token: str | None = None, **options: Any) -> Any:
        """The JSON of the answer, which is kept to be searched, its head too."""
        answer = server.call(method, path, token, **options)
        self.keep(answer)
        return answer.json() if "json" in answer.headers["Content-Type"] else None

    def keep(self, answer: requests.Response) -> None:
        self.answers.append(f"{answer.headers}{answer.text}")

    def found_in(self, text: str) -> list[str]:
        """The secrets that are in there, plain or in Base64, as HTTP Basic has them."""
        encoded = [base64.b64encode(f"svc:{one}".encode()).decode()[8:-4] for one in self.secrets]
        return [one for one in [*self.secrets, *encoded] if one in text]


@pytest.fixture
def everything() -> Everything:
    return Everything()


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with TokenServer() as server:
        yield server


@pytest.fixture
def settings(everything: Everything, embedded: EmbeddedNode, store: StoreNode) -> dict[str, str]:
    """For web and worker: canaries in all that is secret, and logs of everything."""
    password = everything.secret(canary("amqp"))
    assert embedded.management.put("users", "svc", body={"password": password, "tags": "monitoring"}).ok
    rights = {"configure": ".*", "write": ".*", "read": ".*"}
    assert embedded.management.put("permissions", "/", "svc", body=rights).ok
    return {
        "RABBITMQ_URL": f"amqp://svc:{password}@127.0.0.1:{embedded.port}/%2F",
        "RABBITMQ_MANAGEMENT_URL": embedded.management_url,
        "MONGO_URI": store.uri("canaries"),
        "SECRET_KEY": everything.secret(canary("a-secret-key-of-thirty-two-bytes")),
        "ADMIN_PASSWORD": everything.secret(canary("admin-password")),
        "TARGET_ALLOW": "127.0.0.0/8",
        "LOG_LEVEL": "debug",
        "PUBLISH_TIMEOUT": "1",
    }


@pytest.fixture
def worker(settings: dict[str, str], tmp_path: Path) -> Iterator[Process]:
    process = worker_process(tmp_path / "worker", {"DATA_DIR": str(tmp_path / "var"), **settings})
    process.start()
    yield process
    process.stop()


def consumers(
    everything: Everything, target: Target, tokens: TokenServer, authority: Authority
) -> list[dict[str, Any]]:
    """One with a secret in each place that takes some, to targets that take, refuse, fail and are not there."""
    secret = everything.secret
    header, bearer, basic = secret(canary("header")), secret(canary("bearer")), secret(canary("basic"))
    in_url, gone = secret(canary("url")), secret(canary("gone"))
    user, in_query, unlikely = secret(canary("user")), secret(canary("in-query")), secret(canary("unlikely"))
    tokens.secret = secret(canary("client-secret"))
    secret("canary-token-")
    in_api, in_query_key, aws, mac = (secret(canary(name)) for name in ("api-key", "query-key", "aws", "mac"))
    certificate, key = authority.sign("client")
    secret(key.read_text().splitlines()[1])
    wrong = secret(canary("wrong-secret"))
    region = {"region": "eu-west-1", "service": "lambda"}
    here = f"127.0.0.1:{target.port}"
    return [
        {"name": "header", "url": target.url("/echo"), "headers": {"Authorization": f"Bearer {header}"}},
        {"name": "bearer", "url": target.url("/status/500"), "auth": {"type": "bearer", "token": bearer}},
        {"name": "basic", "url": target.url("/status/401"),
         "auth": {"type": "basic", "username": "svc", "password": basic}},
        {"name": "url", "url": f"http://svc:{in_url}@{here}/status/400"},
        {"name": "user", "url": f"http://{user}@{here}/status/404", "headers": {"X-Pin": unlikely}},
        {"name": "query", "url": target.url(f"/status/429?id={{messageId}}&key={in_query}&{in_query}")},
        {"name": "gone", "url": f"http://svc:{gone}@127.0.0.1:{free_port()}/"},
        {"name": "signed", "url": target.url("/reset"), "signingSecret": secret(signing_secret("signing"))},
        {"name": "oauth2", "url": target.url("/status/401"), "auth": tokens.auth},
        {"name": "no-token", "url": target.url("/echo"),
         "auth": tokens.auth | {"clientSecret": wrong, "params": {"x": secret(canary("param"))}}},
        {"name": "api-key", "url": target.url("/echo"), "auth": {"type": "apiKey", "name": "X-Key", "value": in_api}},
        {"name": "query-key", "url": target.url("/status/500"),
         "auth": {"type": "apiKey", "in": "query", "name": "key", "value": in_query_key}},
        {"name": "aws", "url": target.url("/status/403"),
         "auth": {"type": "awsSigV4", "accessKeyId": "AKIA", "secretAccessKey": aws, **region}},
        {"name": "hmac", "url": target.url("/echo"), "auth": {"type": "hmac", "format": "stripe", "secret": mac}},
        {"name": "mutual", "url": f"https://{here}/",
         "tls": {"certificate": certificate.read_text(), "key": key.read_text()}},
    ]  # fmt: skip


def test_no_secret_comes_out_anywhere_also_when_things_fail(
    everything: Everything,
    settings: dict[str, str],
    worker: Process,
    gunicorn: Callable[..., Gunicorn],
    embedded: EmbeddedNode,
    store: StoreNode,
    target: Target,
    tokens: TokenServer,
    tmp_path: Path,
) -> None:
    web = gunicorn("--workers", "1", **settings)
    wait_until(lambda: web.call("GET", "/health/ready").ok, 20, "readiness")
    secret, password = everything.secret, everything.secret(canary("password"))
    login = {"username": ADMIN, "password": settings["ADMIN_PASSWORD"]}
    token = secret(web.call("POST", "/login", json=login).json()["token"])

    # Users, keys, and secrets in wrong places.
    everything.call(web, "POST", "/login", json={**login, "password": secret(canary("wrong"))})
    everything.call(web, "POST", "/login", json={"username": secret(canary("wrong-field")), "password": "x"})
    everything.call(web, "POST", "/login", data=f'{{"password": "{secret(canary("malformed"))}"'.encode())
    user = {"username": "carol", "password": password, "role": "viewer"}
    everything.call(web, "POST", "/createUser", token, json=user)
    everything.call(web, "POST", "/createUser", token, json={**user, "passwort": secret(canary("unknown-field"))})
    everything.call(web, "PATCH", "/updateUser", token, json={**user, "password": secret(canary("new-password"))})
    wanted = {"json": {"name": "shop", "role": "operator"}, "headers": {"Idempotency-Key": "once"}}
    key = secret(web.call("POST", "/createApiKey", token, **wanted).json()["key"])
    assert web.call("POST", "/createApiKey", token, **wanted).json()["key"] == key, "replayed from the store"
    everything.call(web, "GET", f"/getUsers?token={secret(canary('query'))}", token)
    everything.call(web, "GET", "/getUsers", secret(canary("token")))

    # Consumers: made, changed, tested, refused, failing.
    for number, consumer in enumerate(consumers(everything, target, tokens, Authority(tmp_path / "authority"))):
        name = f"q{number}"
        everything.call(web, "POST", "/createQueue", key, json={"queueName": name})
        made = everything.call(web, "POST", "/createConsumer", key, json={"queueName": name, **consumer})
        assert made["message"].startswith("Consumer has been created"), made
        everything.call(web, "POST", "/createConsumer", key, json={"queueName": name, **consumer, "prefetch": 3})
        everything.call(web, "POST", "/testConsumer", key, json={"name": consumer["name"]})
        everything.call(web, "POST", "/messagePublish", key, json={"queueName": name, "message": "x"})
    for change in (
        {"signingSecret": secret(signing_secret("second"))},
        {"headers": {"X-Key": f"{secret(canary('bad-header'))}\n"}},
        {"auth": {"type": "bearer", "token": f"{secret(canary('bad-bearer'))} é"}},
        {"signingSecret": secret(canary("bad-signing"))},
        {"url": f"http://svc:{secret(canary('bad-url'))}@169.254.169.254/"},
    ):
        everything.call(web, "PATCH", "/updateConsumer", key, json={"name": "signed", **change})
    for result in ("retried", "rejected", "requeued"):
        path = f"/getDeliveries?result={result}"
        wait_until(lambda path=path: web.call("GET", path, key).headers["X-Total-Count"] != "0", 20, result)

    # The broker, then the store, goes and comes back; a service that never gets to either.
    nowhere = f"127.0.0.1:{free_port()}"
    lost = gunicorn(
        "--workers", "1",
        **settings | {
            "MONGO_URI": f"mongodb://svc:{secret(canary('mongo'))}@{nowhere}/canaries",
            "RABBITMQ_URL": f"amqp://svc:{secret(canary('wrong-amqp'))}@127.0.0.1:{embedded.port}/%2F",
            "CONSUMERS": "inline",
        },
    )  # fmt: skip
    asked = (("POST", "/login", login), ("GET", "/health/ready", None), ("GET", "/getQueues", None))
    with ThreadPoolExecutor() as threads:  # each takes it seconds
        list(threads.map(lambda one: everything.call(lost, one[0], one[1], token, json=one[2]), asked))
    for part in (embedded, store):
        part.stop()
        everything.call(web, "GET", "/health/ready")
        everything.call(web, "POST", "/messagePublish", key, json={"queueName": "q0", "message": "x"})
        everything.call(web, "GET", "/getConsumers", key)
        part.start()
    wait_until(lambda: web.call("GET", "/health/ready").ok, 60, "being ready again")

    for path in LISTS:
        everything.keep(web.call("GET", path, token))
    assert '"shop"' in "".join(everything.answers), "the answers are not those of this test"
    assert not everything.found_in("\n".join(everything.answers))
    for process in (web.process, lost.process, worker):
        assert '"level":"debug"' in process.output() or process is worker, "not everything is logged"
        assert not everything.found_in(process.output())
    worker.stop()
    kept = [path for path in (*store.process.log.parent.rglob("*"), *tmp_path.rglob("var/**/*")) if path.is_file()]
    raw = "".join(path.read_bytes().decode("latin-1") for path in kept)
    assert "passwordHash" in raw, "this looks into the wrong files"
    assert not everything.found_in(raw)

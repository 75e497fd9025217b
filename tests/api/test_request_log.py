"""The log lines of requests, which contain no secrets. The log is the output of a real gunicorn."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.api.client import ADMIN, PASSWORD, Gunicorn
from tests.support.processes import free_port, wait_until
from tests.support.server import running
from tests.support.store import StoreNode

CANARY = "canary-0815"

pytestmark = pytest.mark.xdist_group("request-log")  # they share a server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    """A service that has a store of its own, and no broker."""
    directory = tmp_path_factory.mktemp("request-log")
    with running(StoreNode(directory / "store")) as store:
        nowhere = f"127.0.0.1:{free_port()}"
        places = {"RABBITMQ_URL": f"amqp://{nowhere}/", "RABBITMQ_MANAGEMENT_URL": f"http://{nowhere}"}
        with running(Gunicorn(directory, {"MONGO_URI": store.uri("log"), **places})) as one:
            yield one


def lines(gunicorn: Gunicorn) -> list[dict[str, Any]]:
    """The log so far: every line of it is a JSON object."""
    return [json.loads(line) for line in gunicorn.process.output().splitlines()]


def line_of(gunicorn: Gunicorn, request_id: str) -> dict[str, Any]:
    """The one line of a request."""

    def found() -> list[dict[str, Any]]:
        return [line for line in lines(gunicorn) if line.get("request_id") == request_id and line["event"] == "request"]

    wait_until(found)
    [line] = found()
    return line


def test_a_request_leaves_one_line_with_who_what_and_how_it_ended(server: Gunicorn) -> None:
    token = server.login()
    headers = {"X-Request-ID": "req-1", "X-Correlation-ID": "corr-1", "Authorization": f"Bearer {token}"}
    answer = server.call("GET", "/getUsers?pageSize=7", headers=headers)
    assert answer.headers["X-Request-ID"] == "req-1"
    line = line_of(server, "req-1")
    assert line["milliseconds"] > 0
    expected = {"level": "info", "logger": "workerrmq.access", "method": "GET", "path": "/getUsers", "status": 200,
                "user": ADMIN, "remote": "127.0.0.1", "correlation_id": "corr-1"}  # fmt: skip
    assert expected.items() <= line.items()
    assert line["time"].endswith("Z")


def test_an_error_leaves_its_code(server: Gunicorn) -> None:
    server.call("GET", "/nowhere", headers={"X-Request-ID": "req-2"})
    assert {"status": 404, "code": "route_not_found", "user": None}.items() <= line_of(server, "req-2").items()
    server.call("GET", "/getQueues", server.login(), headers={"X-Request-ID": "req-3"})
    line = line_of(server, "req-3")
    assert {"status": 503, "code": "broker_unavailable", "level": "warning"}.items() <= line.items()
    assert line["reason"]


def test_a_request_id_that_could_forge_the_log_is_replaced(server: Gunicorn) -> None:
    for forged in ('a","user":"root', "a b", "x" * 129, "ä"):
        answer = server.call("GET", "/nowhere", headers={"X-Request-ID": forged.encode()})
        given = answer.headers["X-Request-ID"]
        assert given == answer.json()["requestId"] != forged
        assert line_of(server, given)["path"] == "/nowhere"


def test_for_terminals_lines_are_readable_and_paths_tell_the_terminal_nothing(
    gunicorn: Callable[..., Gunicorn],
) -> None:
    server = gunicorn(LOG_FORMAT="console")
    server.call("GET", "/nowhere%1b%5b31m%0aforged")
    wait_until(lambda: "/nowhere" in server.process.output())
    assert "\x1b" not in server.process.output()
    assert not [line for line in server.process.output().splitlines() if line.startswith("forged")]
    assert "status=404" in server.process.output()


def test_secrets_are_in_no_line_however_they_are_sent(gunicorn: Callable[..., Gunicorn]) -> None:
    server = gunicorn(LOG_LEVEL="debug")
    token = server.login()
    server.call("GET", f"/getUsers?token={CANARY}", token)
    server.call("GET", "/getUsers", headers={"Authorization": f"Bearer {CANARY}", "Cookie": CANARY})
    server.call("POST", "/login", json={"username": "x", "password": CANARY})
    server.call("POST", "/login", data=f'{{"password": "{CANARY}"')
    server.call("POST", "/createUser", token, json={"username": "x", "password": CANARY + CANARY, "role": "viewer"})
    consumer = {"queueName": "q", "url": "http://x/", "headers": {"X-Key": CANARY}, "signingSecret": f"whsec_{CANARY}"}
    server.call("POST", "/createConsumer", token, json=consumer)
    server.call("GET", "/nowhere", token, headers={"X-Request-ID": "last"})
    line_of(server, "last")
    output = server.process.output()
    for secret in (CANARY, token, PASSWORD):
        assert secret not in output


def test_gunicorns_log_lines_are_json(gunicorn: Callable[..., Gunicorn]) -> None:
    server = gunicorn()
    server.process.stop()
    loggers = {line["logger"] for line in lines(server)}
    assert "gunicorn.error" in loggers
    assert any("Listening at" in line["event"] for line in lines(server))

"""gunicorn alone is the whole service: each web worker publishes for itself and runs the consumers too."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.api.client import Gunicorn
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.target import Target

MakeGunicorn = Callable[..., Gunicorn]


@pytest.fixture
def whole(gunicorn: MakeGunicorn, broker: BrokerNode) -> Callable[..., Gunicorn]:
    """Starts gunicorns that consume inline, ready for work."""

    def start(*options: str) -> Gunicorn:
        server = gunicorn(*options, CONSUMERS="inline", **broker.settings)
        wait_until(lambda: server.call("GET", "/health/ready").ok, 20, "readiness")
        return server

    return start


def post(server: Gunicorn, token: str, path: str, **body: object) -> None:
    answer = server.call("POST", path, token, json=body)
    assert answer.ok, answer.text


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_is_published_reaches_the_target(
    whole: MakeGunicorn, target: Target, unique_name: str, workers: str
) -> None:
    server = whole("--workers", workers)
    token = server.login()
    post(server, token, "/createQueue", queueName=unique_name)
    post(server, token, "/createConsumer", queueName=unique_name, url=target.url())
    for number in range(10):
        post(server, token, "/messagePublish", queueName=unique_name, message=f"Hello, {number}!")
    bodies = {request.body for request in target.wait_for(10, 20)}
    assert bodies == {f"Hello, {number}!".encode() for number in range(10)}


def test_a_worker_that_ends_waits_for_the_answer_to_what_is_in_flight(
    whole: MakeGunicorn, target: Target, unique_name: str
) -> None:
    server = whole("--workers", "1")
    token = server.login()
    post(server, token, "/createQueue", queueName=unique_name)
    post(server, token, "/createConsumer", queueName=unique_name, url=target.url("/hold"))
    post(server, token, "/messagePublish", queueName=unique_name, message="keep me")
    wait_until(lambda: target.held == 1, 20)
    server.process.signal(signal.SIGTERM)
    wait_until(lambda: "Worker exiting" in server.process.output(), 20)
    target.release()
    assert server.process.stop() == 0
    assert len(target.requests) == 1
    again = whole("--workers", "1")
    queue = again.call("GET", f"/getQueue?queueName={unique_name}", again.login()).json()
    assert queue["messages"] == 0, "what was answered within the drain was acked"

"""gunicorn alone is the whole service: each web worker publishes for itself and runs the consumers too."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.api.client import Gunicorn, workers_of
from tests.api.raw_clients import GET, HEAD, connections
from tests.delivery.raw_server import answering
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.target import Target

MakeGunicorn = Callable[..., Gunicorn]


@pytest.fixture
def whole(gunicorn: MakeGunicorn, broker: BrokerNode) -> Callable[..., Gunicorn]:
    """Starts gunicorns that consume inline, ready for work."""

    def start(*options: str, **settings: str) -> Gunicorn:
        server = gunicorn(*options, CONSUMERS="inline", **broker.settings, **settings)
        wait_until(lambda: server.call("GET", "/health/ready").ok, 20, "readiness")
        return server

    return start


def post(server: Gunicorn, token: str, path: str, **body: object) -> None:
    answer = server.call("POST", path, token, json=body)
    assert answer.ok, answer.text


@pytest.mark.parametrize("workers", ["1", "2"])
def test_published_messages_reach_the_target(
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


@pytest.mark.broker_independent
def test_a_filter_and_a_template_work_in_a_web_worker(whole: MakeGunicorn, target: Target, unique_name: str) -> None:
    server = whole("--workers", "1")
    token = server.login()
    post(server, token, "/createQueue", queueName=unique_name)
    post(
        server, token, "/createConsumer", queueName=unique_name, url=target.url(), otherwise="discard",
        filter={"body": {"n": {"$gte": 5}}}, payload={"template": "n={{ body.n }}", "contentType": "text/plain"},
    )  # fmt: skip
    for number in range(10):
        post(server, token, "/messagePublish", queueName=unique_name, message={"n": number})
    bodies = {request.body for request in target.wait_for(5, 30)}
    assert bodies == {f"n={number}".encode() for number in range(5, 10)}
    sample = {"queueName": unique_name, "dryRun": True, "message": {"n": 7}}
    assert server.call("POST", "/testConsumer", token, json=sample).json()["request"]["body"] == "n=7"


def test_connections_to_targets_in_a_web_worker_are_closed(whole: MakeGunicorn, unique_name: str) -> None:
    server = whole("--workers", "1")
    token = server.login()
    [worker] = workers_of(server)
    closes, keeps = f"{unique_name}-closes", f"{unique_name}-keeps"

    def descriptors() -> int:
        return len(os.listdir(f"/proc/{worker}/fd"))

    with Target() as keeping, answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as closing:
        for queue, url in ((closes, f"http://{closing}/"), (keeps, keeping.url())):
            post(server, token, "/createQueue", queueName=queue)
            post(server, token, "/createConsumer", queueName=queue, url=url, prefetch=50)
        post(server, token, "/messagePublish", queueName=keeps, message="first")
        keeping.wait_for(1)
        before = descriptors()
        for queue in (closes, keeps):
            post(server, token, "/messagePublish", messages=[{"queueName": queue, "message": "x"}] * 200)
        keeping.wait_for(201)
        wait_until(lambda: descriptors() < before + 50, 20, "closed connections")
    wait_until(lambda: descriptors() < before, 20, "closed idle connections")


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


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)  # it does not matter which
def test_connections_that_stay_open_take_nothing_of_the_time_for_deliveries(
    whole: MakeGunicorn, target: Target, unique_name: str
) -> None:
    server = whole("--workers", "1", PUBLISH_TIMEOUT="1", DRAIN_TIMEOUT="20", BODY_TIMEOUT="60")
    token = server.login()
    post(server, token, "/createQueue", queueName=unique_name)
    post(server, token, "/createConsumer", queueName=unique_name, url=target.url("/hold"))
    post(server, token, "/messagePublish", queueName=unique_name, message="keep me")
    wait_until(lambda: target.held == 1, 20)
    with ExitStack() as stack:
        connections(stack, server.port, GET, HEAD, HEAD + b"Content-Length: 9\r\n\r\n")
        server.process.signal(signal.SIGTERM)
        wait_until(lambda: "Worker exiting" in server.process.output(), 20)
        target.release()
        assert server.process.stop(60) == 0
    again = whole("--workers", "1")
    queue = again.call("GET", f"/getQueue?queueName={unique_name}", again.login()).json()
    assert queue["messages"] == 0, "the delivery had its DRAIN_TIMEOUT after the connections had theirs"


def test_messages_in_flight_of_a_killed_worker_are_delivered_by_the_next(
    whole: MakeGunicorn, target: Target, unique_name: str
) -> None:
    server = whole("--workers", "1")
    token = server.login()
    post(server, token, "/createQueue", queueName=unique_name)
    post(server, token, "/createConsumer", queueName=unique_name, url=target.url("/hold"), prefetch=50)
    ids = {f"message {number}" for number in range(100)}
    for message in ids:
        post(server, token, "/messagePublish", queueName=unique_name, message=message)
    wait_until(lambda: target.held == 50, 20)
    os.kill(workers_of(server)[0], signal.SIGKILL)
    wait_until(lambda: server.process.output().count("Booting worker") == 2, 20)

    def acked() -> bool:
        target.release()  # also what the next worker delivers
        return server.live() and (
            server.call("GET", f"/getQueue?queueName={unique_name}", token).json().get("messages") == 0
        )

    wait_until(acked, 60)
    assert {request.body.decode() for request in target.requests} == ids

"""With routes, under fire: each message is delivered to its target, dead-lettered or in a queue, and none is lost."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from pika.exceptions import AMQPError
from requests.exceptions import ChunkedEncodingError

from domain.consumer import ConsumerSpec, RetryPolicy
from domain.filter_pattern import FilterPattern
from domain.message import Message, Properties
from domain.router import Route, consumers_of, router_of
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.publisher_thread import PublisherThread
from gateway.mongo import open_store
from tests.api.client import Gunicorn, workers_of
from tests.faults.scene import ids_in
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.server import running
from tests.support.store import StoreNode
from tests.support.target_process import TargetProcess
from tests.support.worker import SECRET, worker_on

pytestmark = pytest.mark.versions

COUNT = 2000
RETRY = RetryPolicy(schedule=(1, 1, 2, 2, 4))
NAMES = ("default", "up", "down")


def to(number: int) -> FilterPattern:
    return FilterPattern({"body.to": number})


def published(broker: BrokerNode, queue: str) -> dict[str, set[str]]:
    """The ids of messages in a queue, by the route that they take."""
    publisher = PublisherThread(BrokerNodes.parse(broker.amqp_url))
    publisher.start()
    bodies = [json.dumps({"n": n, "to": n % 3, "pad": "x" * 900}).encode() for n in range(COUNT)]
    orders = [Message(queue, body, properties=Properties(message_id=f"{n}")) for n, body in enumerate(bodies)]
    assert not any(publisher.publish(orders, 60).result())
    publisher.stop()
    return {name: {f"{n}" for n in range(COUNT) if n % 3 == place} for place, name in enumerate(NAMES)}


def test_each_message_reaches_its_route_though_worker_and_broker_are_killed_and_one_target_is_down(
    broker: BrokerNode, store: StoreNode, tmp_path: Path, unique_name: str
) -> None:
    own, up = TargetProcess(tmp_path / "own"), TargetProcess(tmp_path / "up")
    uri = store.uri("faults")
    registry = open_store(uri, SECRET, tmp_path)
    process = worker_on(broker, uri, tmp_path)
    queues = {name: f"{unique_name}.{name}" for name in NAMES}
    try:
        with broker.connect() as connection:
            for name in (unique_name, queues["up"], queues["down"]):  # the worker declares that of the default route
                connection.channel().queue_declare(name, durable=True)
        accepted = published(broker, unique_name)
        routes = (
            Route(
                name="up", when=FilterPattern({"body.to": 1}), url=up.url("/random?fail=0.10"), retry=RETRY, timeout=2
            ),
            Route(name="down", when=FilterPattern({"body.to": 2}), url="http://127.0.0.1:9/", breaker={"failures": 1}),
        )
        whole = ConsumerSpec(queue_name=unique_name, url=own.url("/random?fail=0.10"), retry=RETRY, timeout=2)
        whole = whole.model_copy(update={"routes": routes})
        for spec in consumers_of(whole):
            registry.consumers.create(spec, router=unique_name)
        registry.consumers.create(router_of(whole))
        process.start()
        for share, victim in ((0.15, process), (0.4, broker), (0.7, process)):
            reached = share * len(accepted["up"])
            wait_until(lambda reached=reached: len(up.delivered()) >= reached, 200, f"{share:.0%} delivered")
            victim.kill()
            victim.start()

        def settled() -> bool:
            dead = {name: set(ids_in(broker, f"{queue}.dlq")) for name, queue in queues.items()}
            return (
                accepted["default"] <= set(own.delivered()) | dead["default"]
                and accepted["up"] <= set(up.delivered()) | dead["up"]
            )

        wait_until(settled, 200, "every message delivered or dead-lettered")
        assert set(own.delivered()) <= accepted["default"]
        assert set(up.delivered()) <= accepted["up"]
        process.stop()  # which returns the messages in flight

        def held() -> set[str]:
            return set(ids_in(broker, queues["down"])) | set(ids_in(broker, f"{queues['down']}.dlq")) | waiting(broker)

        wait_until(lambda: accepted["down"] <= held(), 60, "every message for the target that is down is in a queue")
        assert not ids_in(broker, f"{unique_name}.dlq")
        assert not ids_in(broker, unique_name)
    finally:
        process.stop()
        registry.close()
        own.stop()
        up.stop()


def waiting(broker: BrokerNode) -> set[str]:
    """The ids of the messages that wait for a retry."""
    found: set[str] = set()
    for queue in ("workerrmq.due", *(f"workerrmq.delay.{level}" for level in range(13))):
        with suppress(AMQPError):  # RabbitMQ does not read a quorum queue in time after a kill; the caller looks again
            found |= set(ids_in(broker, queue))
    return found


def test_a_call_whose_process_is_killed_halfway_is_completed_by_the_same_call(
    broker: BrokerNode, store: StoreNode, tmp_path: Path, unique_name: str
) -> None:
    routes = [{"when": {"body.n": n}, "url": "https://erp.example/"} for n in range(50)]
    definition = {"queueName": unique_name, "url": "https://erp.example/", "routes": routes}
    all_of_them = {unique_name, *(f"{unique_name}.{name}" for name in [*range(1, 51), "default"])}
    uri = store.uri("halfway")
    registry = open_store(uri, SECRET, tmp_path)
    settings = broker.settings | {"MONGO_URI": uri, "SECRET_KEY": SECRET}

    def names() -> set[str]:
        return {one.name for one in registry.consumers.outlines()}

    with running(Gunicorn(tmp_path, settings, "--workers", "1")) as server, ThreadPoolExecutor(1) as client:
        wait_until(lambda: server.call("GET", "/health/ready").ok, 60, "readiness")
        token = server.login()

        def call(method: str, path: str, body: dict[str, Any]) -> int:
            try:
                return server.call(method, path, token, json=body).status_code
            except (requests.ConnectionError, ChunkedEncodingError):
                return 0

        def killed(method: str, path: str, body: dict[str, Any], reached: Callable[[int], bool]) -> None:
            [worker] = workers_of(server)
            asked = client.submit(call, method, path, body)
            until = time.monotonic() + 30
            while not reached(len(names())):  # without a pause, in which the call could end
                assert time.monotonic() < until
            os.kill(worker, signal.SIGKILL)
            print(f"{path}: answered {asked.result()}, {len(names())} consumers")
            wait_until(lambda: workers_of(server) not in ([], [worker]), 30, "another worker")

        for enough in (1, 20, 40):
            killed("POST", "/createConsumer", definition, lambda there, enough=enough: there >= enough)
            assert unique_name not in names() or names() == all_of_them, "a router has all its routes"
            assert call("POST", "/createConsumer", definition) in (200, 201)
            assert names() == all_of_them
            killed(
                "DELETE", "/deleteConsumer", {"name": unique_name}, lambda there, enough=enough: there <= 52 - enough
            )
            call("DELETE", "/deleteConsumer", {"name": unique_name})
            assert names() == set()
        assert call("POST", "/createConsumer", definition) == 201
        change = {"name": unique_name, "routes": None}
        killed("PATCH", "/updateConsumer", change, lambda there: there <= 40)
        assert not registry.consumers.get(unique_name).spec.routes, "the router no longer routes to a removed route"
        assert call("PATCH", "/updateConsumer", change) == 200
        assert names() == {unique_name}
    registry.close()

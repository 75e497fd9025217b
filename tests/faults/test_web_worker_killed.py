"""Web workers that are killed while clients publish: what was answered 200 is in its queue."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Event

import requests
from requests.exceptions import ChunkedEncodingError

from tests.api.client import Gunicorn, workers_of
from tests.faults.scene import ids_in, publish
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.server import running
from tests.support.store import StoreNode


def test_every_message_that_was_answered_200_is_in_its_queue_whichever_worker_was_killed(
    broker: BrokerNode, store: StoreNode, tmp_path: Path, unique_name: str
) -> None:
    publish(broker, unique_name, 0)
    over, accepted, asked = Event(), set[str](), set[str]()

    def publish_until(server: Gunicorn, token: str, client: int) -> None:
        for number in range(100_000):
            if over.is_set():
                return
            identity = f"{client}-{number}"
            asked.add(identity)
            body = {"queueName": unique_name, "message": "x", "properties": {"messageId": identity}}
            # When the worker is killed, the message may be in the queue.
            with suppress(requests.ConnectionError, ChunkedEncodingError):
                if server.call("POST", "/messagePublish", token, json=body).ok:
                    accepted.add(identity)

    def more_than(number: int) -> bool:
        return len(accepted) > number

    settings = broker.settings | {"MONGO_URI": store.uri("killed")}
    with running(Gunicorn(tmp_path, settings, "--workers", "2")) as server, ThreadPoolExecutor(4) as clients:
        wait_until(lambda: server.call("GET", "/health/ready").ok, 20, "readiness")
        token = server.login()
        publishing = [clients.submit(publish_until, server, token, client) for client in range(4)]
        try:
            for enough in (100, 200, 300):
                wait_until(partial(more_than, enough), 30)
                os.kill(workers_of(server)[0], signal.SIGKILL)
            wait_until(partial(more_than, 400), 30)
        finally:
            over.set()
        for one in publishing:
            one.result()
    there = ids_in(broker, unique_name)
    assert accepted <= {*there} <= asked
    assert there.total() == len(there), "none is there twice"

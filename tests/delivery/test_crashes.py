"""A thread of ours that crashes is noticed, told and restarted, and never leaves a process that does nothing."""

from __future__ import annotations

import os
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from flask import Flask
from pika.adapters.blocking_connection import BlockingChannel

import WorkerRMQ
from delivery.periods import Periods
from domain.consumer import ConsumerSpec
from domain.errors import BrokerUnavailable
from domain.message import Message
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.publisher import Publisher
from gateway.amqp.publisher_thread import PublisherThread
from gateway.consuming.thread import ConsumerThread
from gateway.loop import Loop
from gateway.management import DeadLetterGateway, ManagementClient
from gateway.mongo import Store
from services.reconciler import Reconciler
from tests.api.conftest import end, settings_for
from tests.support.amqp import publish
from tests.support.embedded import EmbeddedNode
from tests.support.management import management_nodes
from tests.support.processes import Process, wait_until
from tests.support.store import StoreNode
from tests.support.target import Target

pytestmark = pytest.mark.parametrize("broker", ["embedded"], indirect=True)  # it does not matter which

CRASH = """
from threading import Event

import WorkerRMQ

class Crashing(WorkerRMQ.ConsumerThread):
    def _work(self):
        if not {after}:
            raise RuntimeError("canary")
        self._started.set()
        Event().wait(1)  # several looks of `main`
        raise RuntimeError("canary")

WorkerRMQ.ConsumerThread = Crashing
WorkerRMQ.main(look_every=0.05, last_spans=0.2)
"""


class Crashing(ConsumerThread):
    """Crashes before it has started."""

    def _work(self) -> None:
        raise RuntimeError("canary")


def test_a_consumer_thread_that_crashes_again_and_again_is_restarted_until_it_runs(
    broker: EmbeddedNode, registry: Store, channel: BlockingChannel, queue: str, target: Target
) -> None:
    nodes = BrokerNodes.parse(broker.amqp_url)
    made: list[ConsumerThread] = []

    def thread() -> ConsumerThread:
        made.append(Crashing(nodes) if len(made) < 12 else ConsumerThread(nodes))
        return made[-1]

    gateway = DeadLetterGateway(ManagementClient(management_nodes(broker.management_url)))
    periods = Periods(turn=0.05, restart=0.01, longest_restart=0.1, sound_after=1.0)
    worker = Reconciler(registry, gateway, thread, periods)
    registry.consumers.create(ConsumerSpec(queue_name=queue, url=target.url()))
    worker.start()
    try:
        wait_until(lambda: worker.fault, 20)
        assert worker.fault == "The consumer thread crashed (RuntimeError); the log has the traceback."
        wait_until(lambda: [beat.connected for beat in registry.heartbeats.live()] == [False], 20)
        publish(channel, queue, b"body")
        target.wait_for(1, 30)
        wait_until(lambda: worker.fault is None, 20)
        assert len(made) == 13
    finally:
        worker.stop(1)


def test_a_consumer_thread_that_goes_on_crashing_is_restarted_ever_more_rarely(
    broker: EmbeddedNode, registry: Store
) -> None:
    made: list[ConsumerThread] = []

    def thread() -> ConsumerThread:
        made.append(Crashing(BrokerNodes.parse(broker.amqp_url)))
        return made[-1]

    gateway = DeadLetterGateway(ManagementClient(management_nodes(broker.management_url)))
    worker = Reconciler(registry, gateway, thread, Periods(restart=3600.0))
    worker.start()
    try:
        wait_until(lambda: worker.fault, 20)
        wait_until(registry.heartbeats.live, 20)
        assert len(made) == 1
    finally:
        worker.stop(1)


@pytest.mark.parametrize("after_start", [False, True])
def test_a_worker_whose_consumer_thread_crashes_ends_with_a_sentence(
    broker: EmbeddedNode, store: StoreNode, database: str, tmp_path: Path, after_start: bool
) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(WorkerRMQ.__file__).parent),
        "LOG_FORMAT": "json",
        "DATA_DIR": str(tmp_path / "var"),
        "MONGO_URI": store.uri(database),
        **broker.settings,
    }
    program = CRASH.format(after=after_start)
    worker = Process([sys.executable, "-c", program], tmp_path / "worker.log", environment, tmp_path)
    worker.start()
    try:
        wait_until(lambda: not worker.running, 30, "the worker's end")
        assert worker.returncode == 1
        sentence = "WorkerRMQ.py: The consumer thread crashed (RuntimeError); the log has the traceback."
        assert worker.output().splitlines()[-1] == sentence
    finally:
        worker.kill()


def test_a_web_process_whose_consumer_thread_crashes_is_not_ready(
    broker: EmbeddedNode, store: StoreNode, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app import create_app

    monkeypatch.setattr(WorkerRMQ, "ConsumerThread", Crashing)
    places = {
        "mongo_uri": store.uri(database),
        "rabbitmq_url": broker.amqp_url,
        "rabbitmq_management_url": broker.management_url,
    }
    app: Flask = create_app(settings_for(tmp_path, consumers="inline", **places))
    try:
        client = app.test_client()

        def told() -> str | None:
            found = client.get("/health/ready")
            if found.status_code == 503 and found.get_json()["detail"] == "Not ready. Down: consumers.":
                detail: str = found.get_json()["dependencies"]["consumers"]["detail"]
                return detail
            return None

        assert wait_until(told, 20) == "The consumer thread crashed (RuntimeError); the log has the traceback."
        assert client.get("/health/live").status_code == 200
    finally:
        end(app)


class CrashingLoop(Loop):
    """Crashes as soon as it runs."""

    def run(self) -> None:
        self.close()
        raise MemoryError


class CrashingPublisher(PublisherThread):
    """Has three loops that crash, and then one that runs once `go_on` is set."""

    def __init__(self, nodes: BrokerNodes, go_on: Event) -> None:
        super().__init__(nodes, "test-publisher")
        self._go_on = go_on
        self.opened = 0

    def _open(self) -> None:
        self.opened += 1
        super()._open()
        if self.opened <= 3:
            self._loop = CrashingLoop()
            self._publisher = Publisher(self._loop, self._nodes, self._name)
        else:
            self._go_on.wait(30)


def test_a_publisher_thread_that_crashes_says_so_and_goes_on(broker: EmbeddedNode, queue: str) -> None:
    go_on = Event()
    publisher = CrashingPublisher(BrokerNodes.parse(broker.amqp_url), go_on)
    publisher.start()
    try:
        wait_until(lambda: publisher.opened == 4, 20)
        assert publisher.error == "the publisher thread crashed (MemoryError); the log has the traceback"
        assert not publisher.connected
        (refused,) = publisher.publish([Message(queue, b"body")], 5).result()
        assert isinstance(refused, BrokerUnavailable)
        go_on.set()
        wait_until(lambda: publisher.connected, 20)
        assert publisher.publish([Message(queue, b"body")], 10).result() == [None]
        assert publisher.error is None
    finally:
        go_on.set()
        publisher.stop(1)


class BreakableLoop(Loop):
    """Crashes when it is told to."""

    broken = False

    def run(self) -> None:
        super().run()
        if self.broken:
            raise MemoryError

    def crash(self) -> None:
        """Any thread may call."""
        self.broken = True
        self.add_callback_threadsafe(self.finish)


class BreakablePublisher(PublisherThread):
    """Has loops that can be crashed."""

    def _new_loop(self) -> Loop:
        self.loop = BreakableLoop()
        return self.loop


def test_crashes_of_long_ago_do_not_prolong_the_pause_of_a_publisher(broker: EmbeddedNode, queue: str) -> None:
    publisher = BreakablePublisher(BrokerNodes.parse(broker.amqp_url), first_pause=0.05, sound_after=0.0)
    publisher.start()
    try:
        for _ in range(10):  # if all of them counted, the pauses would come to a minute
            wait_until(lambda: publisher.connected, 20)
            assert publisher.publish([Message(queue, b"body")], 5).result() == [None]
            publisher.loop.crash()
            wait_until(lambda: not publisher.connected, 20)
        wait_until(lambda: publisher.connected, 20)
    finally:
        publisher.stop(1)


class LateInbox(deque[object]):
    """Takes a batch only when `go_on` is set: the caller has looked at the thread before."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.go_on = Event(), Event()

    def append(self, batch: object) -> None:
        self.reached.set()
        assert self.go_on.wait(30)
        super().append(batch)


class LetsThemIn(BreakablePublisher):
    """Has late batches come between two loops."""

    def __init__(self, nodes: BrokerNodes) -> None:
        super().__init__(nodes, first_pause=0.05)
        self._inbox = self.inbox = LateInbox()  # type: ignore[assignment]

    def _open(self) -> None:
        if self._loop is not None:
            self.inbox.go_on.set()
            wait_until(lambda: self.inbox, 20)
        super()._open()


def test_a_message_that_comes_between_two_loops_is_taken_by_the_second(broker: EmbeddedNode, queue: str) -> None:
    publisher = LetsThemIn(BrokerNodes.parse(broker.amqp_url))
    publisher.start()
    wait_until(lambda: publisher.connected, 20)
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(lambda: publisher.publish([Message(queue, b"late")], 10).result())
        assert publisher.inbox.reached.wait(20)
        publisher.loop.crash()
        assert late.result(30) == [None]
    assert publisher.publish([Message(queue, b"body")], 5).result() == [None]
    publisher.stop(1)

"""A worker process answers Kubernetes' probes truthfully, whatever RabbitMQ, MongoDB and its own threads do."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest
import requests
from pika.adapters.blocking_connection import BlockingChannel

from delivery.periods import Periods
from domain.consumer import ConsumerSpec
from gateway.amqp.nodes import BrokerNodes
from gateway.consuming.thread import ConsumerThread
from gateway.management import DeadLetterGateway, ManagementClient
from gateway.mongo import Store
from routes.worker_pages import worker_pages
from runtime.probe_server import ProbeServer
from services.reconciler import Reconciler
from tests.support.amqp import publish
from tests.support.embedded import EmbeddedNode
from tests.support.management import management_nodes
from tests.support.processes import Process, free_port, wait_until
from tests.support.store import StoreNode
from tests.support.target import Target
from tests.support.worker import worker_on

pytestmark = pytest.mark.broker_independent

TOKEN = "a token for metrics"


class Probed:
    """A worker process and its probes."""

    def __init__(self, process: Process, port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path: str, **headers: str) -> requests.Response:
        return requests.get(self.url + path, headers=headers, timeout=5)

    def live(self) -> bool:
        try:
            return self.get("/health/live").status_code == 200
        except requests.ConnectionError:
            return False

    def unready(self) -> str | None:
        """Why it is not ready; None if it is."""
        answer = self.get("/health/ready")
        return None if answer.status_code == 200 else str(answer.json()["detail"])

    def start(self) -> None:
        self.process.start()
        self.process.wait_ready(self.live, 60)


@pytest.fixture
def make_worker(
    broker: EmbeddedNode, store: StoreNode, database: str, tmp_path: Path
) -> Iterator[Callable[..., Probed]]:
    made: list[Probed] = []

    def make(**settings: str) -> Probed:
        port = free_port()
        bind = {"WORKER_BIND": f"127.0.0.1:{port}"}
        made.append(Probed(worker_on(broker, store.uri(database), tmp_path, **bind, **settings), port))
        return made[-1]

    yield make
    for one in made:
        if one.process.running:
            one.process.kill()


def test_a_worker_is_live_but_not_ready_while_rabbitmq_is_down(
    make_worker: Callable[..., Probed], broker: EmbeddedNode
) -> None:
    worker = make_worker()
    worker.start()
    wait_until(lambda: worker.unready() is None, 20, "readiness")
    broker.stop()
    wait_until(lambda: "Not connected to RabbitMQ" in (worker.unready() or ""), 20, "the loss being reported")
    assert worker.live()
    broker.start()
    wait_until(lambda: worker.unready() is None, 30, "readiness after the return")


def test_mongodb_counts_for_readiness_only_until_the_consumers_have_been_read(
    make_worker: Callable[..., Probed], store: StoreNode
) -> None:
    worker = make_worker(LOG_LEVEL="info")
    store.stop()
    worker.start()
    wait_until(lambda: "have not been read" in (worker.unready() or ""), 20, "only the registry missing")
    assert worker.live()
    store.start()
    wait_until(lambda: worker.unready() is None, 30, "readiness")
    logged = len(worker.process.output())
    store.stop()
    wait_until(lambda: "store" in worker.process.output()[logged:], 20, "the outage in the log")
    assert worker.unready() is None, "the consumers run on"
    assert worker.live()
    store.start()


def test_a_worker_that_shuts_down_is_live_and_not_ready(
    make_worker: Callable[..., Probed], registry: Store, channel: BlockingChannel, queue: str, target: Target
) -> None:
    worker = make_worker(DRAIN_TIMEOUT="30")
    registry.consumers.create(ConsumerSpec(queue_name=queue, url=target.url("/hold")))
    worker.start()
    publish(channel, queue, b"1")
    wait_until(lambda: target.held == 1, 20, "the message in flight")
    worker.process.signal(signal.SIGTERM)
    wait_until(lambda: worker.unready() == "The worker is shutting down.", 20, "the shutdown being reported")
    assert worker.live()
    target.release()
    wait_until(lambda: not worker.process.running, 20, "its end")
    assert worker.process.returncode == 0, worker.process.output()


@pytest.mark.parametrize(("token", "statuses"), [(TOKEN, (401, 401, 200)), ("", (404, 404, 404))])
def test_a_worker_shows_its_counters_only_to_the_holder_of_the_metrics_token(
    make_worker: Callable[..., Probed],
    registry: Store,
    channel: BlockingChannel,
    queue: str,
    target: Target,
    token: str,
    statuses: tuple[int, ...],
) -> None:
    worker = make_worker(METRICS_TOKEN=token)
    registry.consumers.create(ConsumerSpec(queue_name=queue, url=target.url()))
    worker.start()
    heads: tuple[dict[str, str], ...] = ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Bearer {TOKEN}"})
    assert tuple(worker.get("/metrics", **head).status_code for head in heads) == statuses
    if token:
        publish(channel, queue, b"1")
        counted = f'workerrmq_deliveries_total{{consumer="{queue}",outcome="delivered",queue="{queue}"}} 1.0'
        wait_until(lambda: counted in worker.get("/metrics", **heads[2]).text, 20, "the delivery being counted")


def test_a_worker_whose_address_is_taken_says_so(make_worker: Callable[..., Probed]) -> None:
    worker = make_worker()
    port = int(worker.url.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        worker.process.start()
        wait_until(lambda: not worker.process.running, 30, "its end")
    assert worker.process.returncode == 1
    assert f"cannot listen at WORKER_BIND 127.0.0.1:{port}: Address already in use" in worker.process.output()


def test_a_worker_whose_delivery_loop_hangs_is_not_live(broker: EmbeddedNode, registry: Store) -> None:
    threads: list[ConsumerThread] = []

    def thread() -> ConsumerThread:
        threads.append(ConsumerThread(BrokerNodes.parse(broker.amqp_url)))
        return threads[-1]

    gateway = DeadLetterGateway(ManagementClient(management_nodes(broker.management_url)))
    worker = Reconciler(registry, gateway, thread, Periods(snapshot=0.05))
    port, hang, hung = free_port(), Event(), Event()
    server = ProbeServer(f"127.0.0.1:{port}", worker_pages(worker.progress, 3.0, bytes, "", ""))
    worker.start()
    server.start()

    def status() -> int:
        return requests.get(f"http://127.0.0.1:{port}/health/live", timeout=5).status_code

    def block() -> None:
        hung.set()
        hang.wait(60)

    try:
        assert status() == 200
        threads[0]._call(block)
        assert hung.wait(10)
        wait_until(lambda: status() == 503, 20, "the hang being reported")
        hang.set()
        wait_until(lambda: status() == 200, 20, "progress")
    finally:
        hang.set()
        server.stop()
        worker.stop(1)


def test_silent_clients_do_not_delay_probes_and_are_disconnected() -> None:
    server = ProbeServer(f"127.0.0.1:{(port := free_port())}", {}, client_timeout=0.2)
    server.start()
    try:
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
        assert requests.get(f"http://127.0.0.1:{port}/health/live", timeout=5).status_code == 404
        for one in silent:
            one.settimeout(10)
            assert one.recv(1) == b"", "the server disconnects"
            one.close()
    finally:
        server.stop()

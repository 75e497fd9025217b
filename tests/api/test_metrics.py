"""GET /metrics: counts of all processes of the host whoever is asked, gauges of the whole service, within bounds."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.metrics import instruments
from gateway.metrics.directory import Directory
from gateway.metrics.exposition import Exposition
from tests.api.client import PASSWORD, Gunicorn
from tests.api.host import METRICS_TOKEN as TOKEN
from tests.api.host import Host
from tests.support.metrics import Scrape
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.store import StoreNode
from tests.support.target import Target


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_the_counts_of_all_processes_of_a_host_are_whole_whoever_is_asked_and_outlive_who_counted(
    host: Host, target: Target, unique_name: str
) -> None:
    queue = unique_name
    host.post("/createQueue", queueName=queue)
    host.post("/createConsumer", queueName=queue, url=target.url(), name="shop")
    for _ in range(6):
        host.post("/messagePublish", queueName=queue, message="x")
    wait_until(lambda: host.delivered(queue) == 6, 20, "six deliveries")
    seen = [host.scrape() for _ in range(6)]  # by both web workers
    for scrape in seen:
        assert scrape.value("workerrmq_publishes_total", result="confirmed") == 6
        assert scrape.value("workerrmq_confirm_seconds_count", kind="one") == 6
        assert scrape.value("workerrmq_attempt_seconds_count", consumer="shop", queue=queue) == 6
        assert scrape.value("workerrmq_http_requests_total", route="/messagePublish", method="POST", status="200") == 6
        assert scrape.value("workerrmq_http_request_seconds_count", route="/messagePublish", method="POST") == 6

    host.worker.kill()
    host.worker.start()
    host.post("/messagePublish", queueName=queue, message="x")
    wait_until(lambda: host.delivered(queue) > 6, 30, "the new worker's delivery")
    assert host.delivered(queue) == 7
    assert host.scrape().value("workerrmq_attempt_seconds_bucket", consumer="shop", le="+Inf") == 7

    host.post("/deleteConsumer", "DELETE", name="shop")
    for name in ("workerrmq_deliveries_total", "workerrmq_attempt_seconds_bucket"):
        wait_until(lambda name=name: "shop" not in host.scrape().labels(name, "consumer"), 20, "its end")


def test_gauges_say_what_waits_where_and_what_fails(host: Host, target: Target, unique_name: str) -> None:
    queue = unique_name
    host.post("/createQueue", queueName=queue)
    host.post("/createQueue", queueName=f"{queue}.lonely")
    host.post("/messagePublish", queueName=f"{queue}.lonely", message="x")
    policy = {"retry": {"schedule": [600]}, "breaker": {"failures": 3, "openSeconds": 600}, "prefetch": 1}
    host.post("/createConsumer", queueName=queue, url=target.url("/status/503"), name="shop", **policy)
    for _ in range(4):
        host.post("/messagePublish", queueName=queue, message="x")

    def settled() -> Scrape | None:
        scrape = host.scrape()  # each of two web workers has separate gauges, up to some seconds old
        is_settled = (
            scrape.value("workerrmq_retries_waiting") == 2
            and scrape.value("workerrmq_queue_messages_ready", queue=queue) == 2
            and scrape.value("workerrmq_breaker_state", consumer="shop") == 2
            and scrape.value("workerrmq_consumer_state", consumer="shop", state="failing") == 1
        )
        return scrape if is_settled else None

    scrape = wait_until(settled, 40, "two retries, and the breaker open")
    assert scrape is not None
    assert scrape.value("workerrmq_workers") == 1
    assert scrape.value("workerrmq_consumers", state="failing") == 1
    assert scrape.value("workerrmq_queue_messages_ready", queue=f"{queue}.lonely") == 1
    assert scrape.value("workerrmq_queue_consumers", queue=f"{queue}.lonely") == 0
    assert scrape.value("workerrmq_dependency_up") == 3
    assert scrape.value("workerrmq_build_info") == 1
    assert scrape.value("workerrmq_deliveries_total", consumer="shop", outcome="retried") == 2


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_metrics_are_available_while_dependencies_are_down(
    host: Host, broker: BrokerNode, store: StoreNode, unique_name: str
) -> None:
    host.post("/createQueue", queueName=unique_name)
    wait_until(lambda: unique_name in host.scrape().labels("workerrmq_queue_messages_ready", "queue"), 20)
    store.kill()
    broker.suspend()
    try:

        def both_missed() -> bool:
            scrape = host.scrape()
            down = {name: scrape.value("workerrmq_dependency_up", dependency=name) for name in ("store", "management")}
            return not any(down.values()) and scrape.value("workerrmq_http_requests_total", route="/metrics") > 0

        wait_until(both_missed, 20, "store and broker being missed")
    finally:
        broker.resume()


def test_metrics_require_a_token_and_the_metrics_token_permits_nothing_else(gunicorn: Callable[..., Gunicorn]) -> None:
    server = gunicorn(METRICS_TOKEN=TOKEN)
    admin = server.login()
    key = {"name": "prometheus", "role": "monitor"}
    monitor = server.call("POST", "/createApiKey", admin, json=key).json()["key"]
    for token in (TOKEN, monitor, admin):
        assert server.call("GET", "/metrics", token).status_code == 200
    for token in (TOKEN, monitor):
        assert server.call("GET", "/getQueues", token).status_code == 403
    assert server.call("GET", "/metrics").status_code == 401
    assert server.call("GET", "/metrics", TOKEN + "x").status_code == 401
    body = {"username": "x", "password": PASSWORD, "role": "monitor"}
    assert server.call("POST", "/createUser", TOKEN, json=body).status_code == 403


def test_unknown_paths_and_methods_create_no_new_labels(gunicorn: Callable[..., Gunicorn]) -> None:
    server = gunicorn(METRICS_TOKEN=TOKEN)
    for number in range(5):
        server.call("GET", f"/nowhere/{number}")
        server.call(f"MADE{number}", "/health/live")
    scrape = Scrape(server.call("GET", "/metrics", TOKEN).text)
    assert scrape.value("workerrmq_http_requests_total", route="none", status="404", method="GET") == 5
    assert scrape.labels("workerrmq_http_requests_total", "method") == {"GET", "other"}
    assert not [route for route in scrape.labels("workerrmq_http_requests_total", "route") if "nowhere" in route]


def test_beyond_so_many_consumers_they_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instruments, "MAX_CONSUMERS", 2)
    monkeypatch.setattr(instruments, "_own", set())
    pairs = [instruments.series_of(name, name) for name in ("a", "b", "c", "a")]
    assert pairs == [("a", "a"), ("b", "b"), ("other", "other"), ("a", "a")]


def test_the_first_process_clears_the_files_and_later_ones_merge_those_of_dead_processes(tmp_path: Path) -> None:
    def life(number: int) -> None:
        """Count once in a separate process, and end without closing anything."""
        child = os.fork()
        if child == 0:
            instruments.keep_in(tmp_path)
            instruments.RECONNECTS.labels("test").inc()
            instruments.HTTP_SECONDS.labels("/", "GET").observe(0.003 * number)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0

    life(1)
    first = Directory(tmp_path)
    assert first.name(), "claims, and clears what a process left that nobody outlived"
    assert _scrape(first).value("workerrmq_broker_reconnects_total") == 0
    life(1)
    life(2)
    second = Directory(tmp_path)
    assert second.name() != first.name()
    whose = {file.stem.split("_")[1] for file in tmp_path.glob("*.db")}
    assert whose == {"retired", first.name(), second.name()}
    scrape = _scrape(first)
    assert scrape.value("workerrmq_broker_reconnects_total") == 2
    assert scrape.value("workerrmq_http_request_seconds_sum") == pytest.approx(0.009)
    assert scrape.value("workerrmq_http_request_seconds_bucket", le="0.005") == 1
    assert scrape.value("workerrmq_http_request_seconds_bucket", le="0.01") == 2


def test_on_a_full_disk_a_process_counts_for_itself_and_lives(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        directory = instruments.keep_in(tmp_path)
        instruments.RECONNECTS.labels("test").inc()
        alone = directory is None and _scrape(directory).value("workerrmq_broker_reconnects_total") == 1
        os._exit(0 if alone else 1)
    assert os.waitpid(child, 0)[1] == 0


def _scrape(directory: Directory | None) -> Scrape:
    return Scrape(Exposition(directory).text({}, None).decode())

"""How fast the dashboard answers with a thousand queues and consumers and a week of history, and what it costs the API
that somebody looks.

    python -m benchmarks.dashboard [--size 1000] [--broker embedded|rabbitmq] [--seconds 10] [--rounds 5]

First in Chromium: from a view's address to its figures, and what the first look transfers. Then messages a second by
POST /messagePublish over 32 connections, in turns with nobody looking and with three dashboards open (start page,
queues, consumers), which ask as the browser's would: browsers run on other machines.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pika
import requests
from playwright.sync_api import Page, sync_playwright

from benchmarks import servers
from benchmarks.publish import QUEUE, Way, load
from domain.consumer import ConsumerSpec
from domain.overview import QueueOutline
from domain.registry import Heartbeat, Report
from domain.url_template import UrlTemplate
from gateway.mongo import Store, open_store
from runtime import logs
from services.history import Recorder
from tests.api.client import PASSWORD, Gunicorn
from tests.support.chromium import FLAGS
from tests.support.embedded import EmbeddedNode
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.programs import find
from tests.support.server import running
from tests.support.store import StoreNode
from tests.support.worker import SECRET, worker_on

VIEWS = ("", "queues", "queues?page=20", "queues?name=many-99", "consumers", "consumers?state=failing", "queue/many-7",
         "consumer/many-7", "dead-letters", "attempts", "connections")  # fmt: skip
LOOKS = ("getOverview", "getQueues?pageSize=50", "getConsumers?pageSize=50")
EVERY = 5.0  # seconds, as the dashboard asks


@contextmanager
def service(size: int, broker_name: str) -> Iterator[str]:
    """Yield the URL of a service with that many queues and consumers, all running."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = _broker(stack, broker_name, directory)
        uri = stack.enter_context(running(StoreNode(directory / "store"))).uri("dashboard")
        store = open_store(uri, SECRET, directory)
        stack.callback(store.close)
        with pika.BlockingConnection(pika.URLParameters(broker.amqp_url)) as connection:
            channel = connection.channel()
            channel.queue_declare(QUEUE, durable=True, arguments={"x-max-length": 10_000})
            for number in range(size):
                channel.queue_declare(f"many-{number}", durable=True)
                store.consumers.create(
                    ConsumerSpec(queue_name=f"many-{number}", url=UrlTemplate("http://127.0.0.1:9/"))
                )
        fill_history(store, size)
        process = worker_on(broker, uri, directory)
        stack.callback(process.stop)
        process.start()

        def all_running() -> bool:
            reports = [report for beat in store.heartbeats.live() for report in beat.consumers]
            return sum(report.state == "running" for report in reports) == size

        wait_until(all_running, 300, "all consumers running")
        settings = {**broker.settings, "MONGO_URI": uri, "SECRET_KEY": SECRET}
        gunicorn = stack.enter_context(running(Gunicorn(directory, settings)))
        wait_until(lambda: gunicorn.call("GET", "/health/ready").ok, 30, "readiness")
        yield gunicorn.url


def fill_history(store: Store, size: int) -> None:
    """Record a measurement for every entry of the last hour, day and week of each queue and consumer."""
    recorder, now = Recorder(store.history, most=size), time.time() // 60 * 60
    began = datetime.fromtimestamp(now - 8 * 86400, UTC)
    ids = [consumer.id for consumer in store.consumers.all()]
    for at in sorted(
        {now - step * number for step, count in ((60, 60), (900, 96), (7200, 84)) for number in range(count)}
    ):
        counted = int(at - began.timestamp())
        reports = tuple(Report(one, 1, "running", delivered=counted, since=began) for one in ids)
        queues = [
            QueueOutline(f"many-{number}", 7, 7, 0, 0, 1, 0, 0, 0, None, None, (counted, counted, counted))
            for number in range(size)
        ]
        recorder.record(at, [Heartbeat("worker", began, began, True, reports)], queues)


def _broker(stack: ExitStack, name: str, directory: Path) -> BrokerNode:
    if name == "rabbitmq":
        return stack.enter_context(servers.rabbitmq())
    return stack.enter_context(running(EmbeddedNode(directory / "broker")))


def look(url: str, rounds: int) -> None:
    """Print how many milliseconds each view takes, and what the first one transfers."""
    program = find("chromium")
    if program is None:
        raise SystemExit("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        page = browser.new_page()
        sizes: list[int] = []
        page.on("requestfinished", lambda request: sizes.append(sum(
            request.sizes()[part] for part in ("responseBodySize", "responseHeadersSize"))))  # fmt: skip
        page.goto(url)
        page.get_by_label("User name").fill("admin")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.locator(".canvas canvas").first.wait_for()
        page.wait_for_load_state("networkidle")
        print(f"first look: {sum(sizes) / 1024:.0f} KB transferred in {len(sizes)} answers")
        page.reload()
        page.locator("#freshness.fresh").wait_for()
        painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        print(f"first contentful paint: {painted:.0f} ms\n\n| view | median ms | worst ms |\n| --- | ---: | ---: |")
        for view in VIEWS:
            took = [_shown(page, view) for _ in range(rounds)]
            print(f"| #/{view} | {statistics.median(took):.0f} | {max(took):.0f} |")
        browser.close()


def _shown(page: Page, view: str) -> float:
    page.evaluate("location.hash = '#/publish'")
    page.get_by_role("heading", name="Publish and test").wait_for()
    page.locator("#freshness.fresh").wait_for()
    began = time.perf_counter()
    page.evaluate("view => { location.hash = view; }", f"#/{view}")
    page.get_by_role("heading", name="Publish and test").wait_for(state="detached")
    page.locator("#freshness.fresh").wait_for()
    return (time.perf_counter() - began) * 1000


def compare(url: str, seconds: float, rounds: int) -> None:
    """Print messages per second without dashboards, and with three open."""
    login = requests.post(f"{url}/login", json={"username": "admin", "password": PASSWORD}, timeout=10)
    authorization = f"Bearer {login.json()['token']}"
    body = f'{{"queueName": "{QUEUE}", "message": "{"x" * 1024}"}}'.encode()
    way = Way("publish", f"{url}/messagePublish", authorization, body, 1)
    load(way, 2)
    alone, watched = [], []
    for _ in range(rounds):
        alone.append(load(way, seconds))
        with _dashboards(url, authorization):
            watched.append(load(way, seconds))
    before, after = statistics.median(alone), statistics.median(watched)
    print(f"\nPOST /messagePublish: {before:,.0f}/s with nobody looking, {after:,.0f}/s with three dashboards open")
    print(f"slower by {1 - after / before:.1%} (median of {rounds} rounds of {seconds:g} s each)")


@contextmanager
def _dashboards(url: str, authorization: str) -> Iterator[None]:
    stopping = threading.Event()

    def ask(path: str) -> None:
        with requests.Session() as session:
            while not stopping.is_set():
                session.get(f"{url}/{path}", headers={"Authorization": authorization}, timeout=30).raise_for_status()
                stopping.wait(EVERY)

    threads = [threading.Thread(target=ask, args=(path,)) for path in LOOKS]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--size", type=int, default=1000, help="queues, and as many consumers")
    options.add_argument("--broker", choices=["embedded", "rabbitmq"], default="embedded")
    options.add_argument("--seconds", type=float, default=10, help="of each round of publishing")
    options.add_argument("--rounds", type=int, default=5)
    given = options.parse_args()
    logs.configure("error", "json")
    with service(given.size, given.broker) as url:
        print(f"{given.size} queues and consumers, {given.broker} broker, {os.cpu_count()} cores for all of it\n")
        look(url, given.rounds)
        compare(url, given.seconds, given.rounds)


if __name__ == "__main__":
    main()

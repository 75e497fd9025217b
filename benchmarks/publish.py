"""How fast messages get into RabbitMQ over HTTP: this service beside RabbitMQ's own management API, in the same run.

    python -m benchmarks.publish [--seconds 8] [--rounds 3] [--workers 2] [--threads 32]

1 KB persistent messages to a durable queue, confirmed before they are answered, over 32 kept-alive connections. Each
way goes one message a request; this service also 100 a request, and both again under gunicorn's stock gthread worker.
RabbitMQ, the store and gunicorn are started for it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import socket
import statistics
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import cast
from urllib.parse import urlsplit

from benchmarks import servers
from tests.api.client import Gunicorn
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.server import running
from tests.support.store import StoreNode

CONNECTIONS = 32
BATCH = 100
QUEUE = "benchmark"
TEXT = "x" * 1024


@dataclass(frozen=True, slots=True)
class Way:
    """A way to publish: URL, body, and messages per request."""

    name: str
    url: str
    authorization: str
    body: bytes
    messages: int


def load(way: Way, seconds: float) -> float:
    """Return the messages per second of a client that keeps every connection busy. It uses little CPU, to leave it to
    the servers. Ends the program if a request fails.
    """
    place = urlsplit(way.url)
    head = [f"POST {place.path} HTTP/1.1", f"Host: {place.netloc}", f"Authorization: {way.authorization}"]
    head += ["Content-Type: application/json", f"Content-Length: {len(way.body)}", "", ""]
    request = "\r\n".join(head).encode() + way.body
    with ExitStack() as stack:
        poller = stack.enter_context(DefaultSelector())
        for _ in range(CONNECTIONS):
            connection = stack.enter_context(socket.create_connection((place.hostname, place.port), timeout=60))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            poller.register(connection, EVENT_READ)
            connection.sendall(request)
        began = time.perf_counter()
        done = 0
        while time.perf_counter() - began < seconds:
            for key, _ in poller.select(1):
                connection = cast("socket.socket", key.fileobj)
                _take_answer(way, connection)
                done += 1
                connection.sendall(request)
        return done * way.messages / (time.perf_counter() - began)


def _take_answer(way: Way, connection: socket.socket) -> None:
    received = connection.recv(65536)
    while not (head := _HEAD.match(received)) or len(received) < head.end() + int(head[2]):
        if not (more := connection.recv(65536)):
            raise SystemExit(f"{way.name}: the connection was closed after {received!r}")
        received += more
    if head[1] != b"200":
        raise SystemExit(f"{way.name}: {received.decode()}")


_HEAD = re.compile(rb"HTTP/1.1 (\d+) .*?\r\ncontent-length: *(\d+)\r\n.*?\r\n\r\n", re.IGNORECASE | re.DOTALL)


def cpu_seconds(sessions: list[int]) -> float:
    """Return the CPU time that the processes of these sessions have used so far (proc(5))."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) in sessions:
                total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def management_way(broker: BrokerNode) -> Way:
    """Return RabbitMQ's management API, the reference."""
    own = {
        "properties": {"delivery_mode": 2},
        "routing_key": QUEUE,
        "payload": TEXT,
        "payload_encoding": "string",
    }
    basic = "Basic " + b64encode(b"guest:guest").decode()
    api = f"{broker.management_url}/api/exchanges/%2F/amq.default/publish"
    return Way("RabbitMQ's management API, one by one", api, basic, json.dumps(own).encode(), 1)


def service_ways(name: str, server: Gunicorn) -> list[Way]:
    """Return this service's two ways."""
    url, authorization = f"{server.url}/messagePublish", f"Bearer {server.login()}"
    message = {"queueName": QUEUE, "message": TEXT}
    batch = {"messages": [message] * BATCH}
    return [
        Way(f"{name}, one by one", url, authorization, json.dumps(message).encode(), 1),
        Way(f"{name}, batches of {BATCH}", url, authorization, json.dumps(batch).encode(), BATCH),
    ]


@contextmanager
def service(broker: BrokerNode, workers: int, *options: str) -> Iterator[Gunicorn]:
    """Run this service on the broker and its own store; `options` are gunicorn's."""
    with tempfile.TemporaryDirectory() as place, running(StoreNode(Path(place) / "store")) as store:
        settings = broker.settings | {"MONGO_URI": store.uri("benchmark"), "WEB_WORKERS": str(workers)}
        with running(Gunicorn(Path(place), settings, *options)) as started:
            wait_until(lambda: started.call("GET", "/health/ready").ok, 30, "readiness")
            yield started


def _emptied(broker: BrokerNode) -> int:
    """Recreate the queue. Return how many messages it held."""
    with broker.connect() as connection:
        channel = connection.channel()
        held = int(channel.queue_delete(QUEUE).method.message_count or 0)
        channel.queue_declare(QUEUE, durable=True)
        return held


def main() -> None:
    options = argparse.ArgumentParser(description="Messages a second into RabbitMQ over HTTP.")
    options.add_argument("--seconds", type=float, default=8, help="of each way in each round")
    options.add_argument("--rounds", type=int, default=3, help="the median is shown")
    options.add_argument("--workers", type=int, default=2, help="gunicorn worker processes")
    options.add_argument("--threads", type=int, default=32, help="request threads of each gthread worker")
    given = options.parse_args()
    gthread = ("--worker-class", "gthread", "--threads", str(given.threads))
    with (
        servers.rabbitmq() as broker,
        service(broker, given.workers) as ours,
        service(broker, given.workers, *gthread) as threaded,
    ):
        compared = [management_way(broker), *service_ways("this service", ours), *service_ways("gthread", threaded)]
        sessions = [ours.process.pid, threaded.process.pid, broker.process.pid]
        measured: dict[str, list[tuple[float, float]]] = {way.name: [] for way in compared}
        for _ in range(given.rounds):
            for way in compared:
                _emptied(broker)
                load(way, 1)
                before = cpu_seconds(sessions)
                rate = load(way, given.seconds)
                used = cpu_seconds(sessions) - before
                measured[way.name].append((rate, used / (rate * given.seconds) * 1e6))
    _print(measured, given.workers, given.threads)


def _print(measured: dict[str, list[tuple[float, float]]], workers: int, threads: int) -> None:
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, RabbitMQ beside it")
    print(f"gunicorn: {workers} workers, gthread's of {threads} threads; client: {CONNECTIONS} connections")
    print("CPU is that of the broker and of gunicorn together\n")
    print(f"| {'way':<40} | messages/s | ratio | CPU µs a message | ratio |")
    print(f"| {'-' * 40} | ---------: | ----: | ---------------: | ----: |")
    base_rate, base_cpu = 0.0, 0.0
    for name, found in measured.items():
        rate, cpu = (statistics.median(column) for column in zip(*found, strict=True))
        base_rate, base_cpu = base_rate or rate, base_cpu or cpu
        print(f"| {name:<40} | {rate:>10,.0f} | {rate / base_rate:>5.1f} | {cpu:>16,.0f} | {base_cpu / cpu:>5.1f} |")


if __name__ == "__main__":
    main()

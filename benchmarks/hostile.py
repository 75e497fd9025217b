"""The latency of a worker's other consumers while a hostile target misbehaves, in each of several ways.

    python -m benchmarks.hostile [--seconds 2] [--rounds 3] [--rate 200] [--only hangs]

Two consumers get the same steady traffic, each at its own target. One target answers; the other answers too, then turns
hostile. Latency is from the publish to the request at the target that answers, so the broker is in it. RabbitMQ is
started for it.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import pika
from pika.adapters.blocking_connection import BlockingChannel

from benchmarks import servers
from domain.consumer import BreakerPolicy, ConsumerSpec, RetryPolicy
from domain.registry import Report, Subscription
from domain.url_template import UrlTemplate
from gateway.amqp.nodes import BrokerNodes
from gateway.consuming.thread import ConsumerThread
from runtime import logs
from tests.delivery.raw_server import answering, self_signed
from tests.support.processes import free_port
from tests.support.target import Target

GOOD, BAD = "hostile-good", "hostile-bad"
BODY = b"x" * 1000
OK = b"HTTP/1.1 200 OK\r\n"
GZIP_BOMB = b"Content-Encoding: gzip\r\nContent-Length: 60003\r\n\r\n\x1f\x8b\x08" + bytes(60_000)
PATHS = {
    "each status from 200 to 599": "/statuses",
    "500": "/status/500",
    "404": "/status/404",
    "429, Retry-After: 1": "/retry-after?status=429&seconds=1",
    "hangs before the headers": "/hang",
    "drips": "/drip",
    "resets": "/reset",
    "closes": "/close",
    "closes inside the body": "/truncated",
    "answers without end": "/endless",
}
"""Behaviours of the tests' target."""
RAW = {
    "hangs inside the headers": (OK + b"Content-Le", True),
    "hangs inside the body": (OK + b"Content-Length: 100\r\n\r\nok", True),
    "100 Continue, then hangs": (b"HTTP/1.1 100 Continue\r\n\r\n", True),
    "100 Continue, then 200": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n", False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nok", False),
    "keep-alive closed at once": (OK + b"Connection: keep-alive\r\nContent-Length: 2\r\n\r\nok", False),
    "body longer than it says": (OK + b"Content-Length: 2\r\n\r\nokokok", False),
    "says 1 GB, sends 1 MB": (OK + b"Content-Length: 1000000000\r\n\r\n" + bytes(1_000_000), True),
    "gzip bomb": (OK + GZIP_BOMB, False),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", False),
}
"""Answers as they go over the wire, and whether the connection stays open after them."""


def serve(ready: Connection) -> None:
    """Run the hostile targets in their own process: send the URL of each behaviour, end with the pipe."""
    with ExitStack() as stack:
        target = stack.enter_context(Target(record=False))
        statuses = itertools.cycle(range(200, 600))
        target.answer = lambda request: next(statuses) if request.path == "/statuses" else 200
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = {name: target.url(path) for name, path in PATHS.items()}
        for name, (answer, hang) in RAW.items():
            urls[name] = f"http://{stack.enter_context(answering(answer, hang=hang))}/"
        urls["redirects to itself"] = target.url(f"/redirect?to={target.base}/redirect")
        urls["certificate that nobody signed"] = (
            f"https://{stack.enter_context(answering(b'', self_signed(directory)))}/"
        )
        urls["refuses connections"] = f"http://127.0.0.1:{free_port()}/"
        urls["a name that leads nowhere"] = "http://no-such-host.invalid/"
        ready.send((target.url("/ok"), urls))
        ready.poll(None)


def work(amqp_url: str, orders: Connection) -> None:
    """Run one ConsumerThread with the subscriptions received; answer each with the reports so far."""
    logs.configure("critical", "json")
    thread = ConsumerThread(BrokerNodes.parse(amqp_url))
    thread.start()
    while (subscriptions := orders.recv()) is not None:
        thread.apply(subscriptions)
        time.sleep(0.6)  # a snapshot is taken every half second
        orders.send((thread.snapshot().consumers, _peak_memory()))
    thread.stop(0)
    thread.join(5)


def _peak_memory() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1000


class Traffic:
    """A thread that publishes to both queues at a steady rate; bodies begin with the time of their publish."""

    def __init__(self, amqp_url: str, rate: float) -> None:
        self._url, self._rate = amqp_url, rate
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._publish, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _publish(self) -> None:
        with pika.BlockingConnection(pika.URLParameters(self._url)) as connection:
            channel = connection.channel()
            due = time.monotonic()
            while not self._stopping.is_set():
                for queue in (GOOD, BAD):
                    channel.basic_publish("", queue, b"%.6f %s" % (time.monotonic(), BODY))
                due += 1 / self._rate
                connection.process_data_events(max(0.0, due - time.monotonic()))


@contextmanager
def process(target: object, *arguments: object) -> Iterator[Connection]:
    """Run a process with a pipe to it; end it with the block."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    one = context.Process(target=target, args=(*arguments, theirs), daemon=True)  # type: ignore[arg-type]
    one.start()
    try:
        yield ours
    finally:
        one.terminate()
        one.join()


class Seen(NamedTuple):
    """Latencies of the first consumer's messages in seconds, results of the second's, and the worker's peak memory so
    far in MB.
    """

    latencies: list[float]
    report: Report
    megabytes: float


class Scene:
    """The worker, and the URL that the second consumer delivers to."""

    def __init__(self, worker: Connection, channel: BlockingChannel, good: Target, seconds: float) -> None:
        self._worker, self._channel, self._good, self._seconds = worker, channel, good, seconds
        self._revision = 0

    def watch(self, url: str) -> Seen:
        """Measure while the second consumer delivers to `url`."""
        self._revision += 1
        # A new id starts with new counters, and a new policy with a new breaker.
        wanted = [
            _subscription("good", GOOD, self._good.url("/ok"), 20),
            _subscription(f"{self._revision}", BAD, url, 100 + self._revision),
        ]
        self._channel.queue_purge(BAD)
        self._worker.send(wanted)
        self._worker.recv()
        self._good.clear()
        time.sleep(self._seconds)
        requests = list(self._good.requests)
        self._worker.send(wanted)
        reports, megabytes = self._worker.recv()
        report = next(one for one in reports if one.consumer_id == str(self._revision))
        return Seen([one.when - float(one.body.partition(b" ")[0]) for one in requests], report, megabytes)


def _subscription(key: str, queue: str, url: str, failures: int) -> Subscription:
    spec = ConsumerSpec(
        queue_name=queue,
        url=UrlTemplate(url),
        timeout=1,
        connect_timeout=1,
        retry=RetryPolicy(schedule=(1, 1), jitter=0),
        breaker=BreakerPolicy(failures=failures, open_seconds=1),
    )
    return Subscription(key, 1, spec)


def p99(seen: list[Seen]) -> float:
    """Return the 99th percentile in milliseconds."""
    latencies = sorted(latency for one in seen for latency in one.latencies)
    return latencies[int(len(latencies) * 0.99)] * 1000


def watched(seconds: float, rounds: int, rate: float, only: str) -> tuple[list[Seen], dict[str, list[Seen]]]:
    """Measure beside a target that answers, and beside each hostile one with `only` in its name."""
    before: list[Seen] = []
    found: dict[str, list[Seen]] = defaultdict(list)
    with ExitStack() as stack:
        node = stack.enter_context(servers.rabbitmq())
        good = stack.enter_context(Target())
        worker = stack.enter_context(process(work, node.amqp_url))
        friendly, urls = stack.enter_context(process(serve)).recv()
        connection = stack.enter_context(pika.BlockingConnection(pika.URLParameters(node.amqp_url + "?heartbeat=0")))
        channel = connection.channel()
        for queue in (GOOD, BAD):
            channel.queue_declare(queue, durable=True)
        traffic = Traffic(node.amqp_url, rate)
        scene = Scene(worker, channel, good, seconds)
        scene.watch(urls["500"])  # warm up
        chosen = {name: url for name, url in urls.items() if only in name}
        for _ in range(rounds):
            for number, (name, url) in enumerate(chosen.items()):
                if number % 3 == 0:
                    before.append(scene.watch(friendly))
                found[name].append(scene.watch(url))
        traffic.stop()
    return before, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2, help="how long each behaviour is watched, each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=200, help="messages a second for each consumer")
    parser.add_argument("--only", default="", help="part of the names of the behaviours to watch")
    options = parser.parse_args()
    logs.configure("critical", "json")
    before, found = watched(options.seconds, options.rounds, options.rate, options.only)
    usual, each = p99(before), [p99([one]) for one in before]
    print(f"p99 beside a target that answers: {usual:.1f} ms; single windows {min(each):.1f} to {max(each):.1f} ms\n")
    print(f"{'beside a target that':32}{'p99 ms':>8}{'ratio':>7}{'delivered':>11}{'retried':>9}{'back':>6}{'MB':>6}")
    for name, seen in found.items():
        counts = [sum(getattr(one.report, what) for one in seen) for what in ("delivered", "retried", "requeued")]
        shown = f"{p99(seen):8.1f}{p99(seen) / usual:7.2f}{counts[0]:11}{counts[1]:9}{counts[2]:6}"
        print(f"{name:32}{shown}{max(one.megabytes for one in seen):6.0f}")


if __name__ == "__main__":
    main()

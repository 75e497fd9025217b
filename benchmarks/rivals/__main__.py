"""How fast WorkerRMQ.py forwards a queue to an HTTP target, beside forty lines by hand in Node, Go and Rust, and Bento.

    python -m benchmarks.rivals [--messages 40000] [--rounds 3] [--processes 1 2] [--seconds 20] [--rivals node go]

Persistent messages of 1 KB, a durable classic queue, at most 64 messages in flight for each process; RabbitMQ and nginx
are started for it, and share the machine. The rate is that at which nginx answers, between a fifth and nine tenths of
the messages. The CPU time is that of the processes in the same span. The latency is from publishing to the arrival at
the target, at a steady rate. A rival takes part if its toolchain (node, go, cargo) is installed; the first run compiles
it in var/rivals. The last row is WorkerRMQ.py with batches, which no rival by hand has. Bento takes minutes to compile,
so it runs only if named: `--rivals node go rust bento`.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pika
import requests

from benchmarks import servers
from benchmarks.delivery import fill
from benchmarks.rivals.programs import DEFAULT_KEYS, IN_FLIGHT, KEYS, built
from benchmarks.rivals.timing_target import body_now, timing_target
from domain.batch import Batch
from domain.consumer import ConsumerSpec
from domain.url_template import UrlTemplate
from gateway.mongo import open_store
from runtime import logs
from tests.support.node import BrokerNode
from tests.support.processes import Process, wait_until
from tests.support.server import running
from tests.support.store import StoreNode
from tests.support.worker import SECRET, worker_on

QUEUE, PLACE = "benchmark-rivals", Path("var/rivals")
OURS = "WorkerRMQ.py"
BATCH = Batch(max_messages=50)
BATCHED = f"{OURS}, batches of {BATCH.max_messages}"

Start = Callable[[BrokerNode, str, Path, int], Process]
"""Returns a process, not started, that forwards the queue to a URL. It gets a new directory and a new number."""


class Usage(NamedTuple):
    """CPU seconds and resident megabytes of processes."""

    seconds: float
    megabytes: float

    @classmethod
    def of(cls, *pids: int) -> Usage:
        """Return the usage of these processes and their children."""
        every = [one for pid in pids for one in _family(pid)]
        ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
        stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in every]
        return cls(
            sum(int(one[11]) + int(one[12]) for one in stats) / ticks, sum(int(one[21]) for one in stats) * page / 1e6
        )


class Figures(NamedTuple):
    """One run: messages a second; CPU µs a message in the program, in RabbitMQ and in nginx; MB of the program."""

    rate: float
    cpu: float
    rabbitmq: float
    nginx: float
    megabytes: float

    @property
    def total(self) -> float:
        return self.cpu + self.rabbitmq + self.nginx


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in _family(int(child)))]


@contextmanager
def our_start(batch: Batch | None = None) -> Iterator[Start]:
    """Yield the start of WorkerRMQ.py, with a store."""
    with tempfile.TemporaryDirectory() as name, running(StoreNode(Path(name) / "store")) as node:

        def start(broker: BrokerNode, url: str, directory: Path, number: int) -> Process:
            database = node.uri(directory.name)
            if number == 0:
                store = open_store(database, SECRET, directory)
                spec = ConsumerSpec(queue_name=QUEUE, url=UrlTemplate(url), prefetch=IN_FLIGHT, batch=batch)
                store.consumers.create(spec)
                store.close()
            return worker_on(broker, database, directory, f"worker-{number}")

        yield start


def their_start(command: list[str]) -> Start:
    """Return the start of a rival."""

    def start(broker: BrokerNode, url: str, directory: Path, number: int) -> Process:
        environment = {**os.environ, "AMQP_URL": broker.amqp_url, "QUEUE": QUEUE, "TARGET": url}
        return Process(command, directory / f"rival-{number}.log", environment)

    return start


@contextmanager
def forwarding(start: Start, broker: BrokerNode, url: str, count: int) -> Iterator[list[int]]:
    """Run `count` processes of a program; yield their ids."""
    with tempfile.TemporaryDirectory() as directory:
        processes = [start(broker, url, Path(directory), number) for number in range(count)]
        for process in processes:
            process.start()
        try:
            yield [process.pid for process in processes]
        finally:
            for process in processes:
                process.kill()


def throughput(start: Start, broker: BrokerNode, messages: int, processes: int, in_request: int = 1) -> Figures:
    """Return the figures of `processes` that empty a queue of `messages`, with `in_request` in each request."""
    fill(broker.amqp_url, [QUEUE], messages)
    with (
        servers.nginx() as (url, nginx),
        requests.Session() as session,
        forwarding(start, broker, url, processes) as pids,
    ):
        seen: list[tuple[float, int, Usage, Usage, Usage]] = []
        looks = count(1)  # nginx counts them, too

        def answered(share: float) -> bool:
            words = session.get(f"{url}status").text.split()
            number = (int(words[words.index("requests") + 3]) - next(looks)) * in_request
            if number < messages * share:
                return False
            usages = Usage.of(*pids), Usage.of(broker.process.pid), Usage.of(nginx)
            seen.append((time.perf_counter(), number, *usages))
            return True

        wait_until(lambda: answered(0.2), 120, "a fifth of the messages")
        wait_until(lambda: answered(0.9), 120, "nine tenths of the messages")
    (began, first, *before), (ended, last, *after) = seen
    done = last - first
    spent = [(one.seconds - other.seconds) / done * 1e6 for one, other in zip(after, before, strict=True)]
    return Figures(done / (ended - began), spent[0], spent[1], spent[2], after[0].megabytes)


def latencies(start: Start, broker: BrokerNode, per_second: int, seconds: float) -> list[float]:
    """Return the seconds from publishing to the arrival at the target, ascending, without those of the first second."""
    fill(broker.amqp_url, [QUEUE], 0)
    persistent = pika.BasicProperties(delivery_mode=2, content_type="application/octet-stream", message_id="benchmark")
    with timing_target() as target, forwarding(start, broker, target.url, 1):
        wait_until(lambda: _consumers(broker), 60, "a consumer")
        with broker.connect(heartbeat=0) as connection:
            channel = connection.channel()
            began = time.perf_counter()
            for number in range(int(per_second * seconds)):
                time.sleep(max(0.0, began + number / per_second - time.perf_counter()))
                channel.basic_publish("", QUEUE, body_now(1024), persistent)
        time.sleep(1)  # for the last answers
        return sorted(target.stop()[per_second:])


def _consumers(broker: BrokerNode) -> bool:
    with broker.connect() as connection:
        return bool(connection.channel().queue_declare(QUEUE, passive=True).method.consumer_count)


def _median(figures: list[Figures]) -> Figures:
    return Figures(*(statistics.median(values) for values in zip(*figures, strict=True)))


def _print(title: str, found: dict[str, list[Figures]]) -> None:
    print(
        f"\n{title:26}{'messages/s':>12}{'CPU µs':>8}{'RabbitMQ':>10}{'nginx':>7}{'total':>7}{'MB':>6}  ours / theirs"
    )
    medians = {name: _median(figures) for name, figures in found.items()}
    ours = medians[OURS]
    for name, one in medians.items():
        ratios = f"rate {ours.rate / one.rate:.2f}, CPU {ours.cpu / one.cpu:.2f}, total {ours.total / one.total:.2f}"
        print(
            f"{name:26}{one.rate:12,.0f}{one.cpu:8.0f}{one.rabbitmq:10.0f}{one.nginx:7.0f}{one.total:7.0f}"
            f"{one.megabytes:6.0f}  {ratios if name != OURS else ''}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=40_000, help="messages a run")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each program, in turn; the table has medians")
    parser.add_argument("--per-second", type=int, default=500, help="rate at which the latency is measured")
    parser.add_argument("--seconds", type=float, default=20, help="that the latency is measured; 0 leaves it out")
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2], help="processes of each program")
    parser.add_argument("--rivals", nargs="*", default=DEFAULT_KEYS, choices=KEYS, help="programs to compare with")
    options = parser.parse_args()
    logs.configure("error", "json")
    theirs = {name: their_start(command) for name, command in built(PLACE.absolute(), options.rivals).items()}
    with servers.rabbitmq() as broker, our_start() as start, our_start(BATCH) as batched:
        starts = {OURS: start, **theirs}
        print(
            f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {time.strftime('%F')}"
        )
        for processes in options.processes:
            found: dict[str, list[Figures]] = {name: [] for name in starts}
            for _ in range(options.rounds):
                for name, one in starts.items():
                    found[name].append(throughput(one, broker, options.messages, processes))
                in_batches = throughput(batched, broker, options.messages, processes, BATCH.max_messages)
                found.setdefault(BATCHED, []).append(in_batches)
            _print("1 process" if processes == 1 else f"{processes} processes each", found)
        if options.seconds:
            print(f"\nlatency at {options.per_second}/s{'':13}{'p50 ms':>8}{'p99 ms':>8}")
            for name, one in starts.items():
                took = latencies(one, broker, options.per_second, options.seconds)
                p50, p99 = took[len(took) // 2], took[int(len(took) * 0.99)]
                print(f"{name:26}{p50 * 1e3:8.2f}{p99 * 1e3:8.2f}")


if __name__ == "__main__":
    main()

"""How fast one ConsumerThread forwards queues to an HTTP server, beside two yardsticks in the same run.

    python -m benchmarks.delivery [--messages 40000] [--queues 1] [--rounds 3] [--memory 200000]

(a) a thread per consumer with pika and requests, as such workers are mostly written; (b) pika consuming and acking the
same queues with no HTTP at all, which is as fast as a Python consumer can get. RabbitMQ and nginx are started for it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import statistics
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import pika
import requests
from pika.adapters.select_connection import SelectConnection

from benchmarks import servers
from domain.consumer import ConsumerSpec
from domain.message import Message, Properties
from domain.registry import Subscription
from domain.signing_secret import SigningSecret
from domain.url_template import UrlTemplate
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.publisher_thread import PublisherThread
from gateway.consuming.thread import ConsumerThread
from runtime import logs

PREFETCH = 128
BODY = b'{"order": 1, "items": "' + b"x" * 999 + b'"}'  # 1 KB


def ours(amqp_url: str, target: str, queues: list[str], count: int, report: Connection, **fields: Any) -> None:
    """Run one ConsumerThread with a consumer for each queue; `fields` are further fields of the consumers."""
    logs.configure("error", "json")
    thread = ConsumerThread(BrokerNodes.parse(amqp_url))
    thread.start()
    specs = [ConsumerSpec(queue_name=name, url=UrlTemplate(target), prefetch=PREFETCH, **fields) for name in queues]
    thread.apply([Subscription(spec.queue_name, 1, spec) for spec in specs])
    seen: list[tuple[float, float, int]] = []  # when, CPU seconds, delivered: at each snapshot of the thread's own
    memory: list[int] = []
    delivered = 0
    while delivered < count:
        time.sleep(0.002)
        now = sum(report.delivered for report in thread.snapshot().consumers)
        if now > delivered:
            seen.append((time.perf_counter(), time.process_time(), now))
            delivered = now
        if delivered >= len(memory) * 20_000:
            memory.append(_rss())
    # Between the first snapshot that has deliveries and the last before the end: neither start nor idling counts.
    (began, cpu_began, first), (ended, cpu_ended, last) = seen[0], seen[-2]
    report.send((last - first, ended - began, cpu_ended - cpu_began, memory))
    thread.stop(5)
    thread.join(8)


def requests_per_thread(amqp_url: str, target: str, queues: list[str], count: int, report: Connection) -> None:
    """Run (a): for each queue a thread, a BlockingConnection and a requests.Session; an ack for each message."""

    def consume(queue: str) -> None:
        connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
        channel = connection.channel()
        channel.basic_qos(prefetch_count=PREFETCH)
        session = requests.Session()
        left = count // len(queues)

        def on_message(_channel: object, method: object, _properties: object, body: bytes) -> None:
            nonlocal left
            session.post(target, data=body, headers={"Content-Type": "application/json"}, timeout=30).raise_for_status()
            channel.basic_ack(method.delivery_tag)  # type: ignore[attr-defined]
            left -= 1
            if not left:
                channel.stop_consuming()

        channel.basic_consume(queue, on_message)
        channel.start_consuming()
        connection.close()

    threads = [threading.Thread(target=consume, args=(queue,)) for queue in queues]
    began, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report.send((count, time.perf_counter() - began, time.process_time() - cpu, []))


def pika_alone(amqp_url: str, _target: str, queues: list[str], count: int, report: Connection) -> None:
    """Run (b): one SelectConnection, a channel for each queue; an ack for each message, nothing else."""
    seen = 0
    began = cpu = 0.0

    def on_message(channel: object, method: object, _properties: object, _body: bytes) -> None:
        nonlocal seen, began, cpu
        if not began:
            began, cpu = time.perf_counter(), time.process_time()
        channel.basic_ack(method.delivery_tag)  # type: ignore[attr-defined]
        seen += 1
        if seen == count:
            connection.close()

    def consume(channel: object, queue: str) -> None:
        channel.basic_qos(prefetch_count=PREFETCH)  # type: ignore[attr-defined]
        channel.basic_consume(queue, on_message)  # type: ignore[attr-defined]

    def on_open(opened: SelectConnection) -> None:
        for queue in queues:
            opened.channel(on_open_callback=lambda channel, queue=queue: consume(channel, queue))

    connection = SelectConnection(
        pika.URLParameters(amqp_url),
        on_open_callback=on_open,
        on_close_callback=lambda closed, _reason: closed.ioloop.stop(),
    )
    connection.ioloop.start()
    report.send((count, time.perf_counter() - began, time.process_time() - cpu, []))


signing = partial(ours, signing_secret=SigningSecret("whsec_" + "A" * 43 + "="))
"""As Standard Webhooks asks for: an HMAC-SHA256 over each body."""

batches = partial(ours, batch={"maxMessages": 100})

CONTENDERS: dict[str, Callable[[str, str, list[str], int, Connection], None]] = {
    "ConsumerThread": ours,
    "ConsumerThread, signing": signing,
    "ConsumerThread, 100 a batch": batches,
    "(a) pika + requests": requests_per_thread,
    "(b) pika, no HTTP": pika_alone,
}


def fill(amqp_url: str, queues: list[str], count: int) -> None:
    """Put `count` persistent messages into the queues, confirmed."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        for queue in queues:
            channel.queue_declare(queue, durable=True)
            channel.queue_purge(queue)
    publisher = PublisherThread(BrokerNodes.parse(amqp_url))
    publisher.start()
    for first in range(0, count, 5000):
        batch = [
            Message(
                queues[number % len(queues)],
                BODY,
                properties=Properties(content_type="application/json", message_id=f"msg-{number}"),
            )
            for number in range(first, min(first + 5000, count))
        ]
        failed = [result for result in publisher.publish(batch, 60).result() if result]
        if failed:
            raise SystemExit(f"filling the queue failed: {failed[0]}")
    publisher.stop()


def run(name: str, amqp_url: str, target: str, queues: list[str], count: int) -> tuple[int, float, float, list[int]]:
    """Run one contender in its own process. Return messages, wall seconds, CPU seconds and memory samples."""
    fill(amqp_url, queues, count)
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=CONTENDERS[name], args=(amqp_url, target, queues, count, sending))
    process.start()
    sending.close()
    result: tuple[int, float, float, list[int]] = receiving.recv()
    process.join()
    return result


def _rss() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=40_000, help="messages a round, 1 KB each; 20,000 at least")
    parser.add_argument("--queues", type=int, default=1, help="queues, with a consumer each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, default=0, help="also forward this many and print the memory (KB)")
    options = parser.parse_args()
    logs.configure("error", "json")
    queues = [f"benchmark-{number}" for number in range(options.queues)]
    rates: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    cpus: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    with servers.rabbitmq() as node, servers.nginx() as (target, _):
        for _ in range(options.rounds):
            for name in CONTENDERS:
                count = options.messages // 8 if name.startswith("(a)") else options.messages
                messages, seconds, cpu, _ = run(name, node.amqp_url, target, queues, count)
                rates[name].append(messages / seconds)
                cpus[name].append(cpu / messages * 1e6)
        memory = run("ConsumerThread", node.amqp_url, target, queues, options.memory)[3] if options.memory else []
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, RabbitMQ, nginx")
    print(f"{options.queues} queue(s), {options.rounds} rounds of {options.messages} messages of 1 KB, medians\n")
    print(f"{'':28}{'messages/s':>12}{'CPU µs/message':>16}{'ratio':>8}")
    base = statistics.median(rates["ConsumerThread"])
    for name in CONTENDERS:
        rate = statistics.median(rates[name])
        print(f"{name:28}{rate:12,.0f}{statistics.median(cpus[name]):16.0f}{base / rate:8.2f}")
    print("\nratio: ConsumerThread's rate divided by that of the row")
    if memory:
        print(f"resident memory every 20,000 messages, in KB: {' '.join(map(str, memory))}")


if __name__ == "__main__":
    main()

"""How many retries a second pass through the delay levels, and how late they come.

    python -m benchmarks.retries [--messages 20000] [--per-second 100] [--seconds 30] [--delay 5]

First a queue of messages of 1 KB is emptied against an nginx that fails half of all requests, so that every second
message passes through the levels, beside the deliveries. Then messages come at a steady rate, half of them fail once,
and the time between the two attempts is compared to the delay. The second part begins when its delay levels are in use:
those that are new take their first message after five seconds. RabbitMQ and nginx are started for it.
"""

from __future__ import annotations

import argparse
import os
import platform
import threading
import time

import pika

from benchmarks import servers
from benchmarks.delivery import PREFETCH, fill
from delivery.periods import Periods
from domain.consumer import ConsumerSpec
from domain.registry import Report, Subscription
from gateway.amqp.nodes import BrokerNodes
from gateway.consuming.thread import ConsumerThread
from runtime import logs
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.target import Target
from tests.support.target_http import Request

QUEUE = "benchmark-retries"


def running(broker: BrokerNode, url: str, schedule: list[float]) -> ConsumerThread:
    """Run a thread with one consumer of the queue."""
    thread = ConsumerThread(BrokerNodes.parse(broker.amqp_url))
    thread.start()
    retry = {"schedule": schedule, "jitter": 0}
    breaker = {"failures": 10_000}  # twenty failures in a row come about by chance, and would stop it for 30 s
    fields = {"queueName": QUEUE, "url": url, "prefetch": PREFETCH, "retry": retry, "breaker": breaker}
    spec = ConsumerSpec.model_validate(fields)
    thread.apply([Subscription(QUEUE, 1, spec)])
    return thread


def report_of(thread: ConsumerThread) -> Report:
    report = wait_until(lambda: next(iter(thread.snapshot().consumers), None))
    assert report is not None
    return report


def throughput(broker: BrokerNode, messages: int) -> tuple[float, float]:
    """Return retries and deliveries per second, from the first snapshot that has any until each message was sent
    once.
    """
    fill(broker.amqp_url, [QUEUE], messages)
    with servers.nginx() as (url, _):
        thread = running(broker, f"{url}half", [1.0] * 50)
        wait_until(lambda: report_of(thread).retried)
        first, began = report_of(thread), time.perf_counter()
        wait_until(lambda: (one := report_of(thread)).delivered + one.retried >= messages, 600)
        last, seconds = report_of(thread), time.perf_counter() - began
        wait_until(lambda: report_of(thread).delivered == messages, 600)
        thread.stop(5)
        thread.join(8)
    return (last.retried - first.retried) / seconds, (last.delivered - first.delivered) / seconds


def lateness(broker: BrokerNode, per_second: int, seconds: float, delay: float) -> list[float]:
    """Return the seconds that each retry was late, ascending; negative means early."""
    first: dict[str, float] = {}
    late: list[float] = []

    def answer(request: Request) -> int:
        if request.id in first:
            late.append(request.when - first[request.id] - delay)
            return 200
        fails = int(request.id) % 2 == 0
        if fails:
            first[request.id] = request.when
        return 500 if fails else 200

    count = int(per_second * seconds)
    with Target() as target, pika.BlockingConnection(pika.URLParameters(broker.amqp_url)) as connection:
        channel = connection.channel()
        channel.queue_purge(QUEUE)
        target.answer = answer
        thread = running(broker, target.url(), [delay])
        pause = threading.Event()
        pause.wait(Periods().settling + 1)  # new delay levels are used after that
        began = time.monotonic()
        for number in range(count):
            channel.basic_publish("", QUEUE, b"x" * 1024, pika.BasicProperties(message_id=str(number), delivery_mode=2))
            pause.wait(max(0.0, began + number / per_second - time.monotonic()))
        wait_until(lambda: report_of(thread).delivered == count, delay + 120)
        thread.stop(5)
        thread.join(8)
    return sorted(late)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20_000, help="of the first part")
    parser.add_argument("--per-second", type=int, default=100, help="messages of the second part")
    parser.add_argument("--seconds", type=float, default=30, help="that the second part publishes")
    parser.add_argument("--delay", type=float, default=5, help="seconds, of the second part")
    options = parser.parse_args()
    logs.configure("error", "json")
    with servers.rabbitmq() as broker:
        retries, deliveries = throughput(broker, options.messages)
        late = lateness(broker, options.per_second, options.seconds, options.delay)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, RabbitMQ, nginx\n")
    print(f"{retries:,.0f} retries/s beside {deliveries:,.0f} deliveries/s, {options.messages:,} messages")
    early = sum(one < 0 for one in late)
    median, p99 = late[len(late) // 2], late[int(len(late) * 0.99)]
    print(f"{len(late):,} retries after {options.delay:g} s at {options.per_second} messages/s: {early} early; late by")
    print(f"{median:.2f} s (median), {p99:.2f} s (p99), {late[-1]:.2f} s (most)")


if __name__ == "__main__":
    main()

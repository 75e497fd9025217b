"""How late scheduled messages come, and that none comes early.

    python -m benchmarks.scheduled [--per-second 100] [--seconds 30] [--longest 40] [--retries 0]

Messages of 1 KB are scheduled at a steady rate, each for a random time up to `--longest` seconds ahead, half of them to
a queue and half to an exchange. A worker without consumers puts them there, and a client notes when each arrives. With
`--retries` so many retries pass the levels at the same time. RabbitMQ is started for it.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import threading
import time
from typing import Any

from benchmarks import servers
from benchmarks.delivery import fill
from benchmarks.retries import running
from domain.message import Message, Properties
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.publisher_thread import PublisherThread
from runtime import logs
from tests.support.node import BrokerNode
from tests.support.processes import wait_until

QUEUE, EXCHANGE, RETRIED = "benchmark-scheduled", "benchmark-exchange", "benchmark-retries"


class Arrivals(threading.Thread):
    """Consumes the queue on a separate connection. `late` maps a message's id to the seconds that it was late; negative
    if it was early."""

    def __init__(self, broker: BrokerNode, due: dict[str, float]) -> None:
        super().__init__(daemon=True)
        self._connection = broker.connect(heartbeat=0)
        self._due, self.late, self.ended = due, {}, False  # type: dict[str, float], dict[str, float], bool
        self._channel = self._connection.channel()
        self._channel.queue_declare(QUEUE, durable=True)
        self._channel.exchange_declare(EXCHANGE, "topic", durable=True)
        self._channel.queue_bind(QUEUE, EXCHANGE, "#")

    def run(self) -> None:
        self._channel.basic_consume(QUEUE, self._arrived, auto_ack=True)
        while not self.ended:
            self._connection.process_data_events(0.2)
        self._connection.close()

    def _arrived(self, _channel: Any, _method: Any, properties: Any, _body: bytes) -> None:
        self.late.setdefault(properties.message_id, time.time() - self._due[properties.message_id])


def lateness(broker: BrokerNode, per_second: int, seconds: float, longest: float) -> tuple[list[float], int]:
    """Return the seconds that each message was late, ascending, and how many never came."""
    due: dict[str, float] = {}
    arrivals = Arrivals(broker, due)
    arrivals.start()
    publisher = PublisherThread(BrokerNodes.parse(broker.amqp_url))
    publisher.start()

    def schedule(number: int, delay: float) -> Any:
        identity = str(number)
        due[identity] = time.time() + delay
        where = (QUEUE, "") if number % 2 else ("a.key", EXCHANGE)
        sent = Properties(message_id=identity)
        return publisher.publish([Message(where[0], b"x" * 1024, where[1], sent, due[identity])], 60)

    assert schedule(0, longest).result() == [None]  # the levels are there now
    count, pause, began = int(per_second * seconds), threading.Event(), time.monotonic()
    results = []
    for number in range(1, count):
        results.append(schedule(number, random.uniform(0.5, longest)))
        pause.wait(max(0.0, began + number / per_second - time.monotonic()))
    assert all(result.result() == [None] for result in results)
    wait_until(lambda: len(arrivals.late) == count or time.time() > max(due.values()) + 60, longest + 90)
    publisher.stop()
    arrivals.ended = True
    arrivals.join()
    return sorted(arrivals.late.values()), count - len(arrivals.late)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-second", type=int, default=100, help="messages")
    parser.add_argument("--seconds", type=float, default=30, help="that messages are scheduled")
    parser.add_argument("--longest", type=float, default=40, help="seconds ahead")
    parser.add_argument("--retries", type=int, default=0, help="messages that are retried meanwhile, again and again")
    options = parser.parse_args()
    logs.configure("error", "json")
    with servers.rabbitmq() as broker, servers.nginx() as (url, _):
        fill(broker.amqp_url, ["benchmark-retries"], options.retries)
        thread = running(broker, f"{url}half", [5.0] * 50)
        late, lost = lateness(broker, options.per_second, options.seconds, options.longest)
        thread.stop(5)
        thread.join(8)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, RabbitMQ\n")
    early = sum(one < 0 for one in late)
    median, p99 = late[len(late) // 2], late[int(len(late) * 0.99)]
    print(f"{len(late):,} messages at {options.per_second}/s, {options.longest:g} s ahead: {early} early, {lost} lost")
    print(f"late by {median:.2f} s (median), {p99:.2f} s (p99), {late[-1]:.2f} s (most)")
    print(f"later than 2 s: {sum(one > 2 for one in late)}")


if __name__ == "__main__":
    main()

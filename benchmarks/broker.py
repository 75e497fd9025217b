"""The embedded broker beside RabbitMQ, same pika client, same machine, one run: `python -m benchmarks.broker`.

Each scenario publishes messages of 1 KB on one channel while another consumes and acks them, on one connection of
pika's asynchronous adapter. A rate is messages per second from the first publish to the last ack (and confirm).
Nothing is asserted: the table is for people.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pika

from tests.support.embedded import EmbeddedNode
from tests.support.node import BrokerNode
from tests.support.programs import find
from tests.support.rabbitmq import RabbitNode
from tests.support.server import running

BODY = b"x" * 1024
WINDOW = 1000  # messages published and not acked, at most
PREFETCH = 200


@dataclass(frozen=True)
class Scenario:
    """A scenario: durable queue and persistent messages with confirms, or neither."""

    name: str
    persistent: bool


SCENARIOS = (Scenario("transient", False), Scenario("persistent, confirmed", True))


class Run:
    """One scenario on one broker: publishes, consumes and acks `total` messages and measures the time."""

    def __init__(self, url: str, scenario: Scenario, total: int) -> None:
        self._scenario = scenario
        self._total = total
        self._properties = pika.BasicProperties(delivery_mode=2 if scenario.persistent else 1)
        self._published = self._consumed = self._confirmed = 0
        self._started = self.seconds = 0.0
        self._connection = pika.SelectConnection(pika.URLParameters(url), on_open_callback=self._opened)

    def rate(self) -> float:
        """Return messages per second."""
        self._connection.ioloop.start()
        return self._total / self.seconds

    def _opened(self, connection: pika.SelectConnection) -> None:
        connection.channel(on_open_callback=self._consumer_opened)

    def _consumer_opened(self, channel: Any) -> None:
        self._consumer = channel
        channel.basic_qos(prefetch_count=PREFETCH)
        channel.queue_declare("benchmark", durable=self._scenario.persistent, callback=self._declared)

    def _declared(self, _: Any) -> None:
        self._consumer.basic_consume("benchmark", self._delivered)
        self._connection.channel(on_open_callback=self._publisher_opened)

    def _publisher_opened(self, channel: Any) -> None:
        self._publisher = channel
        if self._scenario.persistent:
            channel.confirm_delivery(self._acked, callback=lambda _: self._begin())
        else:
            self._begin()

    def _begin(self) -> None:
        self._started = time.perf_counter()
        self._publish()

    def _unsettled(self) -> int:
        return self._published - min(self._confirmed if self._scenario.persistent else self._consumed, self._consumed)

    def _publish(self) -> None:
        while self._published < self._total and self._unsettled() < WINDOW:
            self._publisher.basic_publish("", "benchmark", BODY, self._properties)
            self._published += 1

    def _acked(self, frame: Any) -> None:
        self._confirmed = max(self._confirmed, frame.method.delivery_tag)
        self._after()

    def _delivered(self, channel: Any, method: Any, _properties: Any, _body: bytes) -> None:
        channel.basic_ack(method.delivery_tag)
        self._consumed += 1
        self._after()

    def _after(self) -> None:
        if self._consumed == self._total and (not self._scenario.persistent or self._confirmed == self._total):
            self.seconds = time.perf_counter() - self._started
            self._consumer.queue_delete("benchmark", callback=lambda _: self._connection.ioloop.stop())
        elif self._unsettled() <= WINDOW - 100:
            self._publish()


@contextmanager
def brokers(directory: Path) -> Iterator[dict[str, BrokerNode]]:
    """Yield the embedded broker, and RabbitMQ if it is installed."""
    nodes: dict[str, BrokerNode] = {"embedded": EmbeddedNode(directory / "embedded")}
    if find("rabbitmq-server"):
        nodes["rabbitmq"] = RabbitNode(directory / "rabbitmq")
    else:
        print("RabbitMQ is not installed")
    with ExitStack() as stack:
        yield {name: stack.enter_context(running(node)) for name, node in nodes.items()}


def main() -> None:
    """Run every scenario on every broker in turn, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, brokers(Path(directory)) as nodes:
        rates: dict[tuple[str, str], list[float]] = {}
        for _ in range(options.rounds):
            for scenario in SCENARIOS:
                for name, node in nodes.items():
                    rates.setdefault((scenario.name, name), []).append(
                        Run(node.amqp_url, scenario, options.messages).rate()
                    )
        _print_table(rates, list(nodes))


def _print_table(rates: dict[tuple[str, str], list[float]], names: list[str]) -> None:
    print(f"{'messages/s, 1 KB':24}" + "".join(f"{name:>12}" for name in names) + f"{'ratio':>8}")
    for scenario in SCENARIOS:
        row = [median(rates[scenario.name, name]) for name in names]
        ratio = f"{row[0] / row[1]:8.2f}" if len(row) > 1 else ""
        print(f"{scenario.name:24}" + "".join(f"{rate:12,.0f}" for rate in row) + ratio)


if __name__ == "__main__":
    main()

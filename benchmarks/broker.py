"""The embedded broker beside RabbitMQ, with the same client in Go, on the same machine, in one run:

    python -m benchmarks.broker [--messages 20000] [--rounds 3]

It requires Go. Messages have 1 KB. The scenarios are in broker_client/main.go; "both" publishes persistent messages
with confirms while another connection consumes them. Nothing is asserted: the table is for people.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from tests.support.embedded import EmbeddedNode
from tests.support.node import BrokerNode
from tests.support.programs import find
from tests.support.rabbitmq import RabbitNode
from tests.support.server import running

SCENARIOS = ("publish, transient", "publish, persistent, confirmed", "consume and ack", "both")


def built(directory: Path) -> str:
    """Compile the client; return its path. Ends the program without Go."""
    if find("go") is None:
        raise SystemExit("Install Go 1.24 or newer: the client is in Go.")
    program = directory / "broker_client"
    subprocess.run(["go", "build", "-o", program, "."], cwd=Path(__file__).parent / "broker_client", check=True)
    return str(program)


def rate(client: str, url: str, scenario: str, messages: int) -> float:
    """Return messages per second of one run."""
    run = subprocess.run([client, url, scenario, str(messages)], stdout=subprocess.PIPE, timeout=300, check=True)
    return float(run.stdout)


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
        client = built(Path(directory))
        rates: dict[tuple[str, str], list[float]] = {}
        for _ in range(options.rounds):
            for scenario in SCENARIOS:
                for name, node in nodes.items():
                    found = rate(client, node.amqp_url, scenario, options.messages)
                    rates.setdefault((scenario, name), []).append(found)
        _print_table(rates, list(nodes))


def _print_table(rates: dict[tuple[str, str], list[float]], names: list[str]) -> None:
    print(f"{'messages/s, 1 KB':32}" + "".join(f"{name:>12}" for name in names) + f"{'ratio':>8}")
    for scenario in SCENARIOS:
        row = [median(rates[scenario, name]) for name in names]
        ratio = f"{row[0] / row[1]:8.2f}" if len(row) > 1 else ""
        print(f"{scenario:32}" + "".join(f"{rate:12,.0f}" for rate in row) + ratio)


if __name__ == "__main__":
    main()

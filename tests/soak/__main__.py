"""Runs all features of deliveries at a low rate on several brokers side by side, and compares ids at the end.

`python -m tests.soak --minutes 60 --brokers embedded,rabbitmq,rabbitmq4` prints a line a minute and a table at the end,
writes both to the report, and exits 1 if an id is missing or a run failed. Logs of all processes are in the directory.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.soak.ledger import Row
from tests.soak.run import Plan, Soak
from tests.support.embedded import EmbeddedNode
from tests.support.node import BrokerNode
from tests.support.rabbitmq import RabbitNode
from tests.support.rabbitmq_programs import RABBITMQ, RABBITMQ4
from tests.support.server import running

BROKERS = ("embedded", RABBITMQ.name, RABBITMQ4.name)
_COLUMNS = ("accepted", "delivered", "dead", "queued", "missing", "duplicates", "failed")


class Report:
    """Lines for people: on the screen and in a file at once. Any thread may write."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()

    def write(self, line: str) -> None:
        """Write one line with the time before it."""
        with self._lock:
            for out in (sys.stdout, self._file):
                print(f"{time.strftime('%H:%M:%S')} {line}", file=out, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the soak; 1 if an id is missing or a run failed, else 0."""
    options = _options().parse_args(argv)
    directory = options.directory or Path(tempfile.mkdtemp(prefix="workerrmq-soak-"))
    directory.mkdir(parents=True, exist_ok=True)
    report = Report(directory / "report.txt")
    short, long = map(float, options.delays.split(","))
    plan = Plan(options.minutes * 60, options.per_second, short, long)
    if plan.seconds <= plan.settling:
        raise SystemExit(f"--minutes is too short for these --delays: they need {plan.settling / 60:.1f} to settle")
    names = options.brokers.split(",")
    report.write(f"{plan} on {', '.join(names)}; logs and report in {directory}")
    with ThreadPoolExecutor(len(names)) as side_by_side:
        results = side_by_side.map(lambda name: _soak(name, plan, directory / name, report), names)
    return 0 if all(results) else 1


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser("python -m tests.soak", description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--minutes", type=float, default=60, help="in all, with the time to settle (default: 60)")
    options.add_argument("--brokers", default=",".join(BROKERS), help=f"comma-separated (default: {','.join(BROKERS)})")
    options.add_argument("--delays", default="60,900", help="two delays of retries, in seconds (default: 60,900)")
    options.add_argument("--per-second", type=float, default=0.2, help="messages to each feature (default: 0.2)")
    options.add_argument("--directory", type=Path, help="for the report, logs and data (default: a new one)")
    return options


def _node(name: str, directory: Path) -> BrokerNode:
    if name == "embedded":
        return EmbeddedNode(directory)
    return RabbitNode(directory, {one.name: one for one in (RABBITMQ, RABBITMQ4)}[name])


def _soak(name: str, plan: Plan, directory: Path, report: Report) -> bool:
    """Whether no id is missing on this broker."""
    try:
        with running(_node(name, directory / "broker")) as node:
            version = node.management.get("overview").json()["rabbitmq_version"]
            soak = Soak(node, plan, directory, lambda line: report.write(f"{name}: {line}"))
            rows = soak.run()
    except Exception:  # noqa: BLE001 a run that fails must not keep the others from their end
        report.write(f"{name}: FAILED\n{traceback.format_exc()}")
        return False
    report.write(f"{name} {version}\n{_table(rows)}")
    for refusal, count in soak.refusals.items():
        report.write(f"{name}: {count} × {refusal}")
    missing = [identity for row in rows for identity in row.missing]
    report.write(f"{name}: {len(missing)} missing {missing[:50]}")
    return not missing


def _table(rows: Sequence[Row]) -> str:
    def cells(row: Row) -> list[int]:
        return [len(value) if isinstance(value := getattr(row, column), tuple) else value for column in _COLUMNS]

    lines = [(row.feature, *cells(row)) for row in rows]
    lines.append(("in all", *(sum(column) for column in zip(*map(cells, rows), strict=True))))
    head = ("feature", *_COLUMNS)
    return "\n".join(f"{one[0]:16}" + "".join(f"{cell:>11}" for cell in one[1:]) for one in (head, *lines))


if __name__ == "__main__":
    sys.exit(main())

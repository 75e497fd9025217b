"""The project's own broker, `python -m broker`, as a process for tests."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from tests.support.node import BrokerNode
from tests.support.processes import Process, wait_until

_PROJECT = Path(__file__).parents[2]


class EmbeddedNode(BrokerNode):
    """The embedded broker on its own ports and directory. Ready in about half a second."""

    name = "embedded"
    ready_timeout = 30.0

    def __init__(self, directory: Path, *options: str) -> None:
        super().__init__()
        directory.mkdir(parents=True, exist_ok=True)
        ports = ["--port", str(self.port), "--management-port", str(self.management_port)]
        command = [sys.executable, "-m", "broker", *ports, "--data-dir", str(directory / "data"), *options]
        self.process = Process(command, directory / "broker.log", cwd=_PROJECT)

    def start(self) -> None:
        ready_lines = self._ready_lines()
        self.process.start()
        self.process.wait_ready(lambda: self._ready_lines() > ready_lines, 60)

    def _ready_lines(self) -> int:
        return ("\n" + self.process.output()).count("\nready ")

    def close_connections(self) -> None:
        names = set(self.connections())
        for name in names:
            self.management.delete("connections", name, headers={"X-Reason": "closed by a test"})
        wait_until(lambda: names.isdisjoint(self.connections()), 15, "connections being closed")  # new ones may open

    def set_memory_alarm(self, on: bool) -> None:
        self.process.signal(signal.SIGUSR1 if on else signal.SIGUSR2)
        status = 503 if on else 200
        wait_until(lambda: self.management.get("health", "checks", "alarms").status_code == status, 15, f"alarm {on}")

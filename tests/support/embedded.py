"""The project's own broker, `python -m broker`, as a process of its own for tests."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.node import BrokerNode
from tests.support.processes import Process

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
        self._process = Process(command, directory / "broker.log", cwd=_PROJECT)

    @property
    def process(self) -> Process:
        return self._process

    def start(self) -> None:
        ready_lines = self._process.output().count("\nready ")
        self._process.start()
        self._process.wait_ready(lambda: ("\n" + self._process.output()).count("\nready ") > ready_lines, 30)

    def shutdown(self) -> None:
        if self._process.running:
            self._process.kill()

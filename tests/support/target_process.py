"""A target in its own process, which only counts webhook-ids: for loads that must not share an interpreter.

`python -m tests.support.target_process PORT CONTROL_PORT` serves the target on PORT, and on CONTROL_PORT its counts
(GET) and its answer (POST with the status as the body).
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import requests

from tests.support.processes import Process, free_port
from tests.support.target import Target

_PROJECT = Path(__file__).parents[2]


class TargetProcess:
    """A Target reduced to counts and /ok's answer, for more than 20,000 requests per second."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._control_port = free_port()
        self._control = f"http://127.0.0.1:{self._control_port}"
        command = [sys.executable, "-m", "tests.support.target_process", str(self.port), str(self._control_port)]
        self.process = Process(command, directory / "target.log", cwd=_PROJECT)
        self.process.start()
        self.process.wait_ready(lambda: "ready" in self.process.output(), 60)

    def url(self, path: str = "/ok") -> str:
        """Return the URL of a behaviour, see Target.url."""
        return f"http://127.0.0.1:{self.port}{path}"

    def answer(self, status: int) -> None:
        """Set the status that /ok answers."""
        requests.post(self._control, data=str(status), timeout=30).raise_for_status()

    def ids(self) -> Counter[str]:
        """Return the number of requests by webhook-id."""
        return Counter(requests.get(self._control + "/ids", timeout=30).json())

    def delivered(self) -> Counter[str]:
        """Return the number of 2xx answers by message id."""
        return Counter(requests.get(self._control + "/delivered", timeout=30).json())

    def count(self) -> int:
        """Return the number of requests."""
        return int(requests.get(self._control + "/count", timeout=30).text)

    def stop(self) -> None:
        """End the process."""
        self.process.kill()


def _serve(port: int, control_port: int) -> None:
    target = Target(record=False, port=port)

    class Control(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            counts = {"/ids": target.ids(), "/delivered": target.delivered(), "/count": target.count}
            self._reply(json.dumps(counts[self.path]).encode())

        def do_POST(self) -> None:
            target.answer = int(self.rfile.read(int(self.headers["Content-Length"])))
            self._reply(b"")

        def _reply(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Log nothing: one line per request is too much."""

    control = HTTPServer(("127.0.0.1", control_port), Control)
    print("ready", flush=True)
    control.serve_forever()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))

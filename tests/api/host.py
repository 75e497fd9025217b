"""A host as it is deployed: web workers and a worker process that share a DATA_DIR."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.api.client import ROOT, Gunicorn
from tests.support.metrics import Scrape
from tests.support.processes import Process, wait_until
from tests.support.worker import worker_process

METRICS_TOKEN = "a token for Prometheus"


class Host:
    """Two web workers, which are there, and a worker process."""

    def __init__(self, web: Gunicorn, directory: Path, settings: Mapping[str, str]) -> None:
        self.web = web
        self.worker = worker_process(directory, settings)
        self.worker.start()
        self._settings = dict(settings)
        self._token = ""

    def wait_ready(self) -> None:
        """Wait until broker and store are there, and a worker."""
        wait_until(lambda: (self.ready().get("workers") or {}).get("live"), 60, "a worker")
        wait_until(lambda: self.ready().get("status") == "ready", 60, "readiness")

    def ready(self) -> dict[str, Any]:
        """Return the answer of GET /health/ready, of any status."""
        found: dict[str, Any] = self.web.call("GET", "/health/ready").json()
        return found

    def post(self, path: str, method: str = "POST", headers: Mapping[str, str] | None = None, **body: object) -> None:
        """One request as admin, which must succeed."""
        self._token = self._token or self.web.login()
        answer = self.web.call(method, path, self._token, json=body, headers=headers or {})
        assert answer.ok, answer.text

    def scrape(self) -> Scrape:
        """As Prometheus does."""
        answer = self.web.call("GET", "/metrics", METRICS_TOKEN)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return Scrape(answer.text)

    def delivered(self, queue: str) -> float:
        """How many messages of a queue were delivered, by the metrics."""
        return self.scrape().value("workerrmq_deliveries_total", queue=queue, outcome="delivered")

    def flask(self, *command: str) -> None:
        """One of the service's commands, with its settings."""
        subprocess.run(
            [sys.executable, "-m", "flask", "--app", "app", *command],
            cwd=ROOT, env=self._settings, check=True, capture_output=True, timeout=60,
        )  # fmt: skip

    def lines(self, process: Process, event: str) -> list[dict[str, Any]]:
        """The lines of a process's log about one event."""
        found = [json.loads(line) for line in process.output().splitlines() if f'"{event}"' in line]
        return [line for line in found if line["event"] == event]

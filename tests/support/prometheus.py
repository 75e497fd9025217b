"""A real Prometheus that scrapes one service every two seconds, with alert durations cut down to seconds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import requests

from tests.support.processes import Process, free_port
from tests.support.server import Server

_CONFIG = """
global: {{scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: workerrmq
    authorization: {{credentials: "{token}"}}
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


class Prometheus(Server):
    """Ready in about a second."""

    def __init__(self, directory: Path, rules: Path, port: int, token: str) -> None:
        """Scrape the service on `port`, with `token`."""
        directory.mkdir()
        quick = directory / "rules.yml"
        quick.write_text(re.sub(r"for: \d+m", "for: 1s", re.sub(r"\[\d+m\]", "[10s]", rules.read_text())))
        config = directory / "prometheus.yml"
        config.write_text(_CONFIG.format(rules=quick, token=token, port=port))
        own = free_port()
        self.url = f"http://127.0.0.1:{own}"
        command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={directory / 'data'}"]
        self.process = Process([*command, f"--web.listen-address=127.0.0.1:{own}"], directory / "prometheus.log")

    def start(self) -> None:
        self.process.start()
        self.process.wait_ready(self._ready, 60)

    def _ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/-/ready", timeout=1).ok
        except requests.RequestException:
            return False

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire now."""
        alerts = self._get("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the value of an expression. Fails for an invalid one."""
        found: list[dict[str, Any]] = self._get("query", query=expression)["result"]
        return found

    def _get(self, path: str, **query: str) -> dict[str, Any]:
        answer = requests.get(f"{self.url}/api/v1/{path}", params=query, timeout=10)
        assert answer.ok, f"{query}: {answer.text}"
        data: dict[str, Any] = answer.json()["data"]
        return data

"""The whole service as it is deployed, on a separate store: a web server, and a worker process that consumes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.api.client import Gunicorn
from tests.support.processes import Process, wait_until
from tests.support.server import running
from tests.support.store import StoreNode
from tests.support.worker import SECRET, worker_process


class Deployment:
    """Requests are the admin's. Any thread may call `post`; each request has its own connection."""

    def __init__(self, web: Gunicorn, worker: Process) -> None:
        self.web = web
        self.worker = worker
        self.token = web.login()

    def post(self, path: str, body: Mapping[str, Any], **headers: str) -> requests.Response:
        """Send one POST (PATCH for /updateConsumer) and return its answer, whatever its status."""
        method = "PATCH" if path == "/updateConsumer" else "POST"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.web.call(method, path, self.token, json=body, headers=named)

    def done(self, path: str, **body: Any) -> None:
        """Send one POST, which must succeed."""
        answer = self.post(path, body)
        assert answer.ok, f"{path} {body}: {answer.text}"

    def get(self, path: str, **query: str) -> Any:
        """Return the JSON of one GET, which must succeed."""
        answer = self.web.call("GET", path, self.token, params=query)
        assert answer.ok, f"{path}: {answer.text}"
        return answer.json()


@contextmanager
def deployed(directory: Path, broker: Mapping[str, str]) -> Iterator[Deployment]:
    """Start the service with the settings of a broker or a cluster; it ends with the block. Targets are on loopback."""
    directory.mkdir(parents=True, exist_ok=True)
    with running(StoreNode(directory / "store")) as store:
        settings = {
            **broker,
            "MONGO_URI": store.uri("service"),
            "SECRET_KEY": SECRET,
            "DATA_DIR": str(directory / "var"),
            "TARGET_ALLOW": "127.0.0.0/8",
            "LOG_LEVEL": "info",
        }
        with running(Gunicorn(directory, settings, "--workers", "1")) as web:
            worker = worker_process(directory / "worker", settings)
            worker.start()
            try:
                wait_until(lambda: web.call("GET", "/health/ready").ok, 60, "readiness")
                yield Deployment(web, worker)
            finally:
                worker.stop()

"""WorkerRMQ.py as a process."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.node import BrokerNode
from tests.support.processes import Process

_PROJECT = Path(__file__).parents[2]
SECRET = "a secret key of 32 bytes for tests"


def worker_process(directory: Path, settings: Mapping[str, str]) -> Process:
    """Return a worker that is not started. It runs in `directory`, which gets its log."""
    directory.mkdir(parents=True, exist_ok=True)
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "LOG_FORMAT": "json", **settings}
    return Process([sys.executable, str(_PROJECT / "WorkerRMQ.py")], directory / "worker.log", environment, directory)


def worker_on(broker: BrokerNode, store_uri: str, directory: Path, name: str = "worker", **settings: str) -> Process:
    """Return a worker that is not started, on this broker and store. `directory` is its DATA_DIR and has its log in
    `name`. Targets may be on this machine.
    """
    usual = {
        **broker.settings,
        "MONGO_URI": store_uri,
        "SECRET_KEY": SECRET,
        "DATA_DIR": str(directory),
        "LOG_LEVEL": "error",
        "TARGET_ALLOW": "127.0.0.0/8",
    }
    return worker_process(directory / name, usual | settings)

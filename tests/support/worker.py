"""WorkerRMQ.py as a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.node import BrokerNode
from tests.support.processes import Process

_PROJECT = Path(__file__).parents[2]
SECRET = "a secret key of 32 bytes for tests"


def worker_process(directory: Path, settings: Mapping[str, str]) -> Process:
    """One that is not yet started. Its log is in `directory`, which is also where it runs."""
    directory.mkdir(parents=True, exist_ok=True)
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "LOG_FORMAT": "json", **settings}
    return Process([sys.executable, str(_PROJECT / "WorkerRMQ.py")], directory / "worker.log", environment, directory)


def worker_on(broker: BrokerNode, store_uri: str, directory: Path, name: str = "worker", **settings: str) -> Process:
    """One that is not yet started, on this broker and store; `directory` is its DATA_DIR, its log in `name` there.
    Targets may be on this machine."""
    usual = {
        **broker.settings,
        "MONGO_URI": store_uri,
        "SECRET_KEY": SECRET,
        "DATA_DIR": str(directory),
        "LOG_LEVEL": "error",
        "TARGET_ALLOW": "127.0.0.0/8",
    }
    return worker_process(directory / name, usual | settings)

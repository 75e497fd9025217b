"""WorkerRMQ.py as a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.processes import Process

_PROJECT = Path(__file__).parents[2]


def worker_process(directory: Path, settings: Mapping[str, str]) -> Process:
    """One that is not yet started. Its log is in `directory`, which is also where it runs."""
    directory.mkdir(parents=True, exist_ok=True)
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "LOG_FORMAT": "json", **settings}
    return Process([sys.executable, str(_PROJECT / "WorkerRMQ.py")], directory / "worker.log", environment, directory)

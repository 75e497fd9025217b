"""The worker process, configured as an operator would."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.support.node import BrokerNode
from tests.support.processes import Process

_PROGRAM = Path(__file__).parents[2] / "WorkerRMQ.py"
SECRET = "a secret key for tests"


def worker_process(
    broker: BrokerNode, store_uri: str, directory: Path, name: str = "worker", **settings: str
) -> Process:
    """WorkerRMQ.py, not yet started; `settings` are those of .env.example. Targets may be on this machine."""
    environment = {
        "PATH": os.environ["PATH"],
        "RABBITMQ_URL": broker.amqp_url,
        "RABBITMQ_MANAGEMENT_URL": broker.management_url,
        "MONGO_URI": store_uri,
        "SECRET_KEY": SECRET,
        "DATA_DIR": str(directory),
        "LOG_LEVEL": "error",
        "TARGET_ALLOW": "127.0.0.0/8",
        **settings,
    }
    return Process([sys.executable, str(_PROGRAM)], directory / f"{name}.log", environment, directory)

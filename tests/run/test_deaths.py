"""What dies is started again, and the terminal says so."""

from __future__ import annotations

import os
import signal

import pytest

from tests.support.installation import Installation
from tests.support.processes import wait_until
from tests.support.target import Target


@pytest.mark.parametrize(
    ("name", "part"),
    [("store", "nx-27017"), ("broker", "-m broker"), ("worker", "WorkerRMQ.py"), ("web", "-m gunicorn")],
)
def test_a_part_that_is_killed_comes_back(
    running_installation: Installation, target: Target, unique_name: str, name: str, part: str
) -> None:
    installation = running_installation
    assert installation.call("POST", "/createQueue", {"queueName": unique_name}).ok
    assert installation.call("POST", "/createConsumer", {"queueName": unique_name, "url": target.url()}).ok

    os.kill(installation.pids(part)[0], signal.SIGKILL)
    report = f"{name} ended (terminated by SIGKILL) and is started again"
    wait_until(lambda: report in (installation.directory / "run.log").read_text(), 10, "the report")

    def published() -> bool:
        try:
            return installation.call("POST", "/messagePublish", {"queueName": unique_name, "message": "x"}).ok
        except (OSError, KeyError):  # refused, or no token: not back yet
            return False

    wait_until(published, 30, "the API taking messages again")
    target.wait_for(1, 30)

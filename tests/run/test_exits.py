"""Crashed programs restart, and the terminal reports it."""

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
def test_a_killed_program_restarts(
    running_installation: Installation, target: Target, unique_name: str, name: str, part: str
) -> None:
    installation = running_installation
    assert installation.call("POST", "/createQueue", {"queueName": unique_name}).ok
    assert installation.call("POST", "/createConsumer", {"queueName": unique_name, "url": target.url()}).ok

    os.kill(installation.pids(part)[0], signal.SIGKILL)
    report = f"{name} exited (terminated by SIGKILL) and restarts"
    wait_until(lambda: report in (installation.directory / "run.log").read_text(), 20, "the report")

    def published() -> bool:
        try:
            return installation.call("POST", "/messagePublish", {"queueName": unique_name, "message": "x"}).ok
        except (OSError, KeyError):  # refused, or no token: not back yet
            return False

    wait_until(published, 30, "the API taking messages again")
    target.wait_for(1, 30)


def test_several_workers_share_the_messages_and_restart(
    installation: Installation, target: Target, unique_name: str
) -> None:
    installation.start(WORKERS="2")
    assert installation.call("POST", "/createQueue", {"queueName": unique_name}).ok
    consumer = {"queueName": unique_name, "url": target.url()}
    assert installation.call("POST", "/createConsumer", consumer).ok

    def delivering() -> bool:
        one = installation.call("GET", f"/getConsumer?name={unique_name}").json()
        return len(one["workers"]) == 2

    wait_until(delivering, 20, "two workers")
    os.kill(installation.pids("WorkerRMQ.py")[-1], signal.SIGKILL)
    wait_until(lambda: len(installation.pids("WorkerRMQ.py")) == 2, 20, "the killed worker")
    assert " exited (terminated by SIGKILL) and restarts" in (installation.directory / "run.log").read_text()
    installation.call("POST", "/messagePublish", {"queueName": unique_name, "message": "x"})
    target.wait_for(1, 30)

"""Stopping and restarting: no data is lost, no process is left, crashed programs restart."""

from __future__ import annotations

import os
import re
import signal
import time

import pytest

from tests.support.installation import Installation
from tests.support.processes import wait_until
from tests.support.target import Target

STOP_SECONDS = 15  # what the README promises


def stopped_by(installation: Installation, number: signal.Signals) -> None:
    """Stop everything by a signal, in time, and leave no process."""
    began = time.monotonic()
    assert installation.stop(number) == 0
    assert time.monotonic() - began < STOP_SECONDS
    assert installation.pids() == []


def test_users_queues_messages_and_consumers_survive_ctrl_c(installation: Installation) -> None:
    installation.start()
    assert installation.call("POST", "/createQueue", {"queueName": "kept"}).ok
    consumer = {"queueName": "kept", "url": "http://127.0.0.1:9/", "name": "asleep"}
    assert installation.call("POST", "/createConsumer", consumer).ok
    assert installation.call("POST", "/createQueue", {"queueName": "waiting"}).ok
    assert installation.call("POST", "/messagePublish", {"queueName": "waiting", "message": "still here"}).ok
    stopped_by(installation, signal.SIGINT)

    process = installation.start()

    assert "Installing" not in process.output()
    assert "with the password shown at the first start" in process.output()
    queues = {queue["queueName"] for queue in installation.call("GET", "/getQueues").json()}
    assert queues >= {"kept", "waiting"}
    assert installation.call("GET", "/getQueue?queueName=waiting").json()["messages"] == 1
    assert [consumer["name"] for consumer in installation.call("GET", "/getConsumers").json()] == ["asleep"]


def test_a_password_is_reset_while_the_service_runs(installation: Installation) -> None:
    installation.start()
    before = installation.token()
    reset = installation.as_newcomer("./run.sh", "reset-password", log="reset.log")

    reset.start()
    wait_until(lambda: not reset.running, 20, "the reset")

    assert reset.returncode == 0, reset.output()
    assert installation.get("/getQueues", before).status_code == 401
    with pytest.raises(KeyError):  # the old password is no longer in force
        installation.token()
    installation.password = reset.output().split()[-1]
    assert installation.get("/getQueues", installation.token()).status_code == 200
    stopped_by(installation, signal.SIGHUP)  # as when the terminal is closed


def test_a_delivery_in_flight_is_finished_before_the_end(installation: Installation, target: Target) -> None:
    installation.start()
    assert installation.call("POST", "/createQueue", {"queueName": "slow"}).ok
    assert installation.call("POST", "/createConsumer", {"queueName": "slow", "url": target.url("/hold")}).ok
    assert installation.call("POST", "/messagePublish", {"queueName": "slow", "message": "once"}).ok
    wait_until(lambda: target.held == 1, 20, "the delivery")

    os.kill(installation.pids("-m launcher")[0], signal.SIGTERM)
    wait_until(lambda: "Stopping" in (installation.directory / "run.log").read_text(), 20)
    target.release()
    stopped_by(installation, signal.SIGTERM)

    installation.start()
    wait_until(lambda: installation.call("GET", "/getQueue?queueName=slow").json()["messages"] == 0, 20)
    assert target.count == 1


@pytest.mark.parametrize("killed", ["-m launcher", "supervisor.supervisord"])
def test_no_process_is_left_after_the_launcher_or_supervisor_is_killed(installation: Installation, killed: str) -> None:
    installation.start()

    os.kill(installation.pids(killed)[0], signal.SIGKILL)

    wait_until(lambda: not installation.pids(), 30, "the end of all processes")


def test_a_start_right_after_a_kill_waits_for_the_rest_to_stop(installation: Installation) -> None:
    installation.start()
    os.kill(installation.pids("-m launcher")[0], signal.SIGKILL)

    process = installation.start()

    assert re.search(r"login +admin", process.output())
    assert len(installation.pids("supervisor.supervisord")) == 1

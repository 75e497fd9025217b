"""Dead letters from a shell: why they are there, and back to their queue with the progress shown."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from tests.api.client import ROOT
from tests.cli.shell import Shell
from tests.support.processes import wait_until
from tests.support.target import Target


@pytest.fixture
def dead(shell: Shell, queue: str, target: Target) -> str:
    """A queue whose three messages its target has refused; from now on it takes them."""
    target.answer = 422
    shell.done("consumers", "create", queue, "--url", target.url())
    shell.done("publish", queue, "--lines", "-", typed="1\n2\n3\n")
    wait_until(lambda: shell.run("dead-letters", "list", queue).stdout.count("\n") == 4, message="three dead letters")
    target.answer = 200
    target.clear()
    return queue


def test_each_says_why_it_is_one_and_stays(shell: Shell, dead: str) -> None:
    for _ in range(2):
        rows = shell.done("dead-letters", "list", dead).splitlines()
        assert len(rows) == 4
        assert "reject" in rows[1]
        assert "422" in rows[1]


def test_a_replay_brings_them_back_and_is_waited_for(shell: Shell, dead: str, target: Target) -> None:
    assert shell.json("dead-letters", "replay", dead, "--dry-run")["matched"] == 3
    assert shell.json("dead-letters", "replay", dead, "--status", "500")["replayed"] == 0
    ended = shell.json("dead-letters", "replay", dead, "--status", "422", "--limit", "2")
    assert (ended["state"], ended["replayed"]) == ("finished", 2)
    target.wait_for(2)
    assert len(shell.json("dead-letters", "list", dead)) == 1


def test_a_replay_can_run_in_the_background_and_report_its_progress(shell: Shell, dead: str, target: Target) -> None:
    begun = shell.json("dead-letters", "replay", dead, "--no-wait")
    target.wait_for(3)
    wait_until(lambda: "finished" in shell.done("dead-letters", "progress", begun["replayId"]), message="its end")


def test_on_a_terminal_a_bar_shows_how_far_it_has_come(shell: Shell, dead: str, target: Target) -> None:
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "cli", "dead-letters", "replay", dead]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env=shell.for_process(),
        stdin=child,
        stdout=subprocess.PIPE,
        stderr=child,
        timeout=30,
        check=False,
    )
    os.close(child)
    shown = os.read(parent, 10_000).decode()
    os.close(parent)
    assert (ended.returncode, target.wait_for(3) != []) == (0, True)
    assert "Replaying" in shown
    assert "100%" in shown


def test_a_retry_that_lost_its_queue_comes_back_to_one_that_is_created_again(
    shell: Shell, queue: str, target: Target
) -> None:
    target.answer = 503
    delay = "15"  # longer than the commands until the queue is deleted
    shell.done("consumers", "create", queue, "--url", target.url(), "--retry-schedule", delay, "--retry-jitter", "0")
    shell.done("publish", queue, "orphan")
    level = ("queues", "list", "--include-internal", "--name", "workerrmq.delay.")
    wait_until(lambda: [one for one in shell.json(*level) if one["messages"]], message="the retry in a level")
    shell.done("consumers", "delete", queue)
    shell.done("queues", "delete", queue)
    orphans = "workerrmq.orphans"
    wait_until(lambda: shell.json("dead-letters", "list", queue, "--dead-letter-queue", orphans), 60, "an orphan")

    shell.done("queues", "create", queue)
    shell.done("dead-letters", "replay", queue, "--dead-letter-queue", orphans)

    assert [one["message"] for one in shell.json("messages", "get", queue)] == ["orphan"]


def test_missing_queues_and_replays_are_refused(shell: Shell, unique_name: str) -> None:
    assert "no queue" in shell.fails(1, "dead-letters", "list", unique_name)
    assert shell.fails(1, "dead-letters", "replay", unique_name)
    assert shell.fails(1, "dead-letters", "progress", unique_name)

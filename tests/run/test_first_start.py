"""The first start: one command, a login, three commands to paste, a delivered message."""

from __future__ import annotations

import re

import pytest

from tests.support.installation import Installation
from tests.support.processes import wait_until


@pytest.fixture
def said(first_installation: Installation) -> str:
    return (first_installation.directory / "run.log").read_text()


def test_the_printed_commands_deliver_a_message(first_installation: Installation, said: str) -> None:
    lines = re.search(r"^python3 examples/target\.py .*?\n\n", said, re.MULTILINE | re.DOTALL)
    assert lines, said
    pasted = first_installation.as_newcomer("bash", "-c", lines[0] + "\nwait", log="pasted.log")

    pasted.start()

    try:
        wait_until(lambda: "attempt 1: Hello, World!" in pasted.output(), 20, "the delivery")
    finally:
        pasted.kill()


def test_the_welcome_has_address_and_login(first_installation: Installation, said: str) -> None:
    assert f"at {first_installation.url}" in said
    assert re.search(r"login +admin, password \S{12,}", said)
    assert first_installation.call("GET", "/getQueues").status_code == 200


def test_the_welcome_names_the_next_steps(first_installation: Installation, said: str) -> None:
    [dashboard] = re.findall(r"dashboard is at (http://\S+/)", said)
    page = first_installation.call("GET", "/")
    assert (dashboard, page.headers["Content-Type"]) == (f"{first_installation.url}/", "text/html; charset=utf-8")
    [log_in] = re.findall(r"`(flask rmq .* login)`", said)
    [password] = re.findall(r"login +admin, password (\S+)", said)
    shell = first_installation.as_newcomer(
        "bash", "-c", f". .venv/bin/activate; {log_in} --password-stdin <<< '{password}'", log="login.log"
    )
    shell.start()
    wait_until(lambda: "Logged in" in shell.output(), 20, "the login")
    [tutorial] = re.findall(r"docs/\w+\.md", said)
    assert (first_installation.project / tutorial).is_file()


def test_its_files_are_readable_by_the_owner_only(first_installation: Installation) -> None:
    data = first_installation.project / "var"

    assert data.stat().st_mode & 0o077 == 0
    assert [path for path in data.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o077] == []


def test_no_secret_is_a_process_argument(first_installation: Installation) -> None:
    data = first_installation.project / "var"
    secrets = [(data / name).read_text().strip() for name in ("secret.key", "broker_password")]

    for secret in secrets:
        assert len(secret) > 40
        assert first_installation.pids(secret) == []


def test_a_second_run_is_refused(first_installation: Installation) -> None:
    second = first_installation.as_newcomer("./run.sh", log="second.log")

    second.start()
    wait_until(lambda: not second.running, 20, "the second run giving up")

    assert second.returncode == 1
    assert re.fullmatch(r"run\.sh: already running in var \(process \d+\); stop it first\n", second.output())
    assert first_installation.call("GET", "/getQueues").status_code == 200

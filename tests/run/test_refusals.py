"""run.sh reports what it cannot do in one sentence and leaves no process behind."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.support.installation import Installation
from tests.support.processes import free_port, wait_until

# Not one under somebody's home: run.sh runs as nobody when the tests run as root.
_SYSTEM_PYTHON = shutil.which("python3", path="/usr/bin:/usr/local/bin") or os.path.realpath(sys.executable)
_VENV_PACKAGE = subprocess.check_output(
    [_SYSTEM_PYTHON, "-c", "import sys; print('python%d.%d-venv' % sys.version_info[:2])"], text=True
).strip()


@pytest.fixture
def usual_ports_taken() -> Iterator[None]:
    """Occupy the usual ports of RabbitMQ and MongoDB, unless they are in use."""
    with ExitStack() as sockets:
        for port in (5672, 15672, 27017):
            listener = sockets.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                listener.bind(("127.0.0.1", port))
                listener.listen()
        yield


@pytest.mark.usefixtures("usual_ports_taken")
def test_the_embedded_servers_use_other_ports(installation: Installation) -> None:
    said = installation.start().output()

    for port in (":5672", "port 15672", ":27017"):
        assert port not in said
    assert installation.call("GET", "/getQueues").status_code == 200


def test_two_simultaneous_starts_use_different_ports(installation: Installation) -> None:
    other = Installation()
    try:
        (other.project / ".venv").symlink_to((installation.project / ".venv").readlink())
        installation.run()
        other.run()

        for one in (installation, other):
            one.wait_ready()
            assert one.call("GET", "/getQueues").status_code == 200
    finally:
        other.remove()


def test_a_web_port_in_use_is_refused(installation: Installation) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", installation.port))
        listener.listen()

        said = installation.fails()

    expected = (
        f"port {installation.port} on 127.0.0.1 is in use. Stop the program that uses it, or set BIND to another port"
    )
    assert said == f"run.sh: {expected}\n"
    assert installation.pids() == []


@pytest.mark.parametrize("program", ["WorkerRMQ.py", "wsgi.py", "broker/__main__.py"])
def test_a_program_that_exits_at_the_start_is_reported(installation: Installation, program: str) -> None:
    (installation.project / program).write_text('raise RuntimeError("broken for this test")\n')

    said = installation.fails()

    assert said.startswith("run.sh: ")
    assert "exited at the start" in said
    assert said.count("\n") == 1
    assert installation.pids() == []


@pytest.mark.parametrize(
    ("setting", "url", "named"),
    [
        ("MONGO_URI", "mongodb://127.0.0.1:{port}/workerrmq", "MongoDB (MONGO_URI) is down: "),
        ("RABBITMQ_URL", "amqp://127.0.0.1:{port}/", "RabbitMQ (RABBITMQ_URL) is down: "),
    ],
)
def test_a_server_that_is_down_is_named_in_one_sentence(
    installation: Installation, setting: str, url: str, named: str
) -> None:
    process = installation.run(**{setting: url.format(port=free_port())})
    wait_until(lambda: "waiting up to" in process.output(), 60, "the sentence")

    [line] = process.output().splitlines()
    assert re.match(r"\d\d:\d\d:\d\d waiting up to 90 s: ", line), line
    assert named in line
    assert "{" not in line
    installation.stop()


def test_a_wrong_setting_is_refused(installation: Installation) -> None:
    said = installation.fails(BIND="nonsense")

    assert said == "configuration: BIND must be host:port, such as 127.0.0.1:5000\n"


def test_a_read_only_data_directory_is_refused(installation: Installation) -> None:
    said = installation.fails(DATA_DIR="/proc/no")

    assert said.startswith("run.sh: cannot use DATA_DIR /proc/no: ")


def test_an_unknown_command_is_refused(installation: Installation) -> None:
    process = installation.run("tset")
    wait_until(lambda: not process.running, 20)

    assert process.returncode == 1
    assert (
        process.output() == "run.sh: usage: ./run.sh, ./run.sh test [PYTEST-ARGS] or ./run.sh reset-password [USER]\n"
    )


@pytest.mark.parametrize(
    ("python", "expected"),
    [
        (None, "run.sh: Python 3.11 or newer is required, but not installed: sudo apt install python3 python3-venv\n"),
        (
            'case "$2" in *platform*) echo 3.9.2;; *) exit 1;; esac',
            "run.sh: Python 3.11 or newer is required, but python3 is 3.9.2: sudo apt install python3.11-venv\n",
        ),
        (
            f'case "$2" in *ensurepip*) exit 1;; *) exec "{_SYSTEM_PYTHON}" "$@";; esac',
            f"run.sh: Python's venv module is missing: sudo apt install python3.{sys.version_info.minor}-venv\n",
        ),
    ],
    ids=["none", "too old", "without venv"],
)
def test_an_unsuitable_python_is_refused(installation: Installation, python: str | None, expected: str) -> None:
    (installation.project / ".venv").unlink()
    programs = _path_with(installation.directory / "bin", python)

    said = installation.fails(PATH=str(programs))

    assert said == expected
    assert not (installation.project / ".venv").exists()


def _path_with(directory: Path, python: str | None) -> Path:
    """Make a PATH with the tools of run.sh, and `python` as the script python3."""
    directory.mkdir()
    for program in ("bash", "dirname", "cmp", "cp", "setpriv"):
        found = shutil.which(program)
        assert found, program
        (directory / program).symlink_to(found)
    if python is not None:
        script = directory / "python3"
        script.write_text(f"#!/bin/sh\n{python}\n")
        script.chmod(0o755)
    os.chmod(directory, 0o755)
    return directory

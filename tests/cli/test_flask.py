"""`flask rmq`, as a separate process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.api.client import ROOT
from tests.cli.shell import Shell
from tests.support.processes import free_port

FLASK = Path(sys.executable).with_name("flask")


def flask(shell: Shell, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**shell.for_process(), "DATA_DIR": str(shell.home / "var"), **more}
    return subprocess.run(
        [FLASK, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_flask_has_the_commands(shell: Shell, queue: str) -> None:
    listed = flask(shell, "rmq", "queues", "list", "--name", queue, "--fields", "queueName")
    assert (listed.returncode, listed.stdout.split()) == (0, ["queueName", queue])


def test_flask_completes_them(shell: Shell) -> None:
    completed = flask(shell, _FLASK_COMPLETE="bash_complete", COMP_WORDS="flask rmq queues cr", COMP_CWORD="3")
    assert completed.stdout.split() == ["plain,create"]


def test_completion_prints_no_error_while_the_service_is_down(tmp_path: Path) -> None:
    away = Shell(tmp_path, f"http://127.0.0.1:{free_port()}")
    completed = flask(away, _FLASK_COMPLETE="bash_complete", COMP_WORDS="flask rmq que", COMP_CWORD="2")
    assert (completed.stdout.split(), completed.stderr) == (["plain,queues"], "")


def test_the_commands_need_neither_settings_nor_the_app(shell: Shell) -> None:
    script = "import sys; from cli import rmq; rmq(['alive'], standalone_mode=False); print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        cwd=ROOT,
        env=shell.for_process(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert not {"app", "config", "domain", "gateway", "routes", "pika", "pycurl", "pymongo"} & set(ended.stdout.split())

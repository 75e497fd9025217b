"""The project on a new user's machine: a fresh copy, started by its run.sh, without root.

The path of the copy contains a space, its HOME is empty, and the environment contains none of our settings.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from config import Settings
from tests.support.processes import Process, free_port, wait_until

_PROJECT = Path(__file__).parents[2]
_NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", "var", ".env", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"
)
READY = "Ctrl+C stops it"


class Installation:
    """A copy of the project with its own port. Used by one thread."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="worker rmq ", dir="/tmp"))
        self.project = self.directory / "project"
        shutil.copytree(_PROJECT, self.project, ignore=_NOT_COPIED)
        (self.directory / "home").mkdir()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._mark = f"WORKERRMQ_TEST_INSTALLATION={uuid.uuid4()}"
        self.password = ""
        self._process: Process | None = None
        self._own()

    def _own(self) -> None:
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            for path in (self.directory, *self.directory.rglob("*")):
                os.chown(path, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)

    def share_venv(self, other: Installation) -> None:
        """Use the virtual environment of `other` instead of making one."""
        (self.project / ".venv").symlink_to(other.project / ".venv")

    def environment(self, **settings: str) -> dict[str, str]:
        """Return the environment of run.sh: the caller's without our settings, with `settings` and a mark."""
        ours = {name.upper() for name in Settings.model_fields}
        kept = {name: value for name, value in os.environ.items() if name.upper() not in ours}
        name, _, value = self._mark.partition("=")
        return {**kept, "HOME": str(self.directory / "home"), "BIND": f"127.0.0.1:{self.port}", name: value, **settings}

    def as_newcomer(self, *argv: str, log: str = "run.log", **settings: str) -> Process:
        """Return a program, not started, in the copy's directory, run as nobody if the tests run as root."""
        prefix = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--pdeathsig=KILL"]
        command = [*(prefix if os.geteuid() == 0 else []), *argv]
        return Process(command, self.directory / log, self.environment(**settings), self.project)

    def run(self, *arguments: str, **settings: str) -> Process:
        """Start run.sh without waiting."""
        (self.directory / "run.log").unlink(missing_ok=True)
        self._process = self.as_newcomer("./run.sh", *arguments, **settings)
        self._process.start()
        return self._process

    def start(self, timeout: float = 60, **settings: str) -> Process:
        """Start run.sh and wait until it reports that it is ready."""
        self.run(**settings)
        return self.wait_ready(timeout)

    def wait_ready(self, timeout: float = 60) -> Process:
        """Wait until the running run.sh reports that it is ready."""
        process = self._process
        assert process is not None, "never started"
        process.wait_ready(lambda: READY in process.output(), timeout)
        shown = re.search(r"password (\S+) \(shown only", process.output())
        self.password = shown[1] if shown else self.password
        return process

    def fails(self, **settings: str) -> str:
        """Run run.sh until it fails. Return its output."""
        process = self.run(**settings)
        wait_until(lambda: not process.running, 120, "run.sh giving up")
        assert process.returncode == 1, process.output()
        return process.output()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop run.sh. Return its exit status."""
        assert self._process is not None, "never started"
        process = self._process
        process.signal(number)
        wait_until(lambda: not process.running, 60, "run.sh ending")
        assert process.returncode is not None
        return process.returncode

    def pids(self, words: str = "") -> list[int]:
        """Return the processes of run.sh, itself included, whose command line contains `words`."""
        found = []
        for process in Path("/proc").iterdir():
            with suppress(OSError):
                if process.name.isdigit() and self._mark.encode() in (process / "environ").read_bytes().split(b"\0"):
                    command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    if command and words in command:  # a zombie has none
                        found.append(int(process.name))
        return sorted(found)

    def token(self) -> str:
        """Log in as the administrator with the printed password. Raises KeyError if the login is refused."""
        login = {"username": "admin", "password": self.password}
        return str(requests.post(f"{self.url}/login", json=login, timeout=10).json()["token"])

    def call(self, method: str, path: str, body: Any = None) -> requests.Response:
        """Call the API with a new login."""
        headers = {"Authorization": f"Bearer {self.token()}"}
        return requests.request(method, self.url + path, json=body, headers=headers, timeout=30)

    def get(self, path: str, token: str) -> requests.Response:
        """Call the API with a given token."""
        return requests.get(self.url + path, headers={"Authorization": f"Bearer {token}"}, timeout=30)

    def remove(self) -> None:
        """Kill what is left and delete the copy."""
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not self.pids(), 30, "the end of killed processes")
        shutil.rmtree(self.directory)

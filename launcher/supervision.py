"""supervisord as a child process: start it, hear what it says of the parts, stop it, leave nothing behind.

What it says is read from its log file: through a pipe, it would die with us instead of stopping its parts in order.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from launcher.log_files import LogTail, last_line
from launcher.plan import Plan
from launcher.supervisor_config import dies_with_parent, write_config

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
_UP = re.compile(rb"success: (\S+) entered RUNNING state")
_DIED = re.compile(rb"(?:exited: (?P<name>\S+) \((?P<how>[^;)]*)|spawnerr: (?P<spawn>.*))")


@dataclass(frozen=True, slots=True)
class Death:
    """A part ended without having been told to; supervisord starts it again."""

    part: str
    how: str


class Supervision:
    """A running supervisord.

    `up` are the parts that have run for a second at least, as of the last call of `deaths`.
    """

    def __init__(self, plan: Plan, lock: IO[str]) -> None:
        """Start it. It holds `lock` for as long as it lives, as its standard input."""
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)  # if it is killed, its children become ours to end
        self.up: set[str] = set()
        self._patience = plan.patience
        config = write_config(plan)
        logs = plan.data_dir / "logs"
        self._log = LogTail(logs / "supervisord.log")
        self._output = logs / "supervisord.out"  # what it could not log
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [*dies_with_parent(), sys.executable, "-m", "supervisor.supervisord", "-c", config],
                stdin=lock,
                stdout=output,
                stderr=output,
                env={**os.environ, **plan.environment},
                start_new_session=True,  # Ctrl+C is for us alone: supervisord stops its parts in their order
            )

    def ended(self) -> str:
        """Why supervisord has ended by itself; empty while it runs."""
        if self._process.poll() is None:
            return ""
        return last_line(self._output) or f"exit status {self._process.returncode}"

    def deaths(self) -> list[Death]:
        """The parts that have died since the last call."""
        lines = self._log.new_lines()
        self.up |= {found[1].decode() for line in lines if (found := _UP.search(line))}
        deaths = [_death(found) for line in lines if (found := _DIED.search(line))]
        self.up -= {death.part for death in deaths}
        return deaths

    def end(self) -> None:
        """Have it stop everything, and wait until no process of it is left; what outlives its time is killed."""
        deadline = time.monotonic() + self._patience + 1
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(self._patience + 1)
        self._process.kill()
        self._process.wait()
        _end_orphans(deadline)


def _death(found: re.Match[bytes]) -> Death:
    name, how = (found["name"], found["how"]) if found["name"] else (b"a process", found["spawn"])
    return Death(name.decode(errors="replace"), how.decode(errors="replace"))


def _end_orphans(deadline: float) -> None:
    """Wait for processes that supervisord left to us (they got SIGTERM when it died); kill them at `deadline`."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            if time.monotonic() > deadline:
                for child in _children():
                    with suppress(ProcessLookupError):
                        os.kill(child, signal.SIGKILL)
            time.sleep(0.05)


def _children() -> list[int]:
    pids = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text()
    return [int(pid) for pid in pids.split()]

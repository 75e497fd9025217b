"""Runs supervisord as a child process: starts it, reads its reports, stops it with all its processes.

The reports come from its log file: through a pipe, supervisord would die with the launcher instead of stopping its
programs in order.
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
from launcher.supervisor_config import killed_with_parent, write_config

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
_UP = re.compile(rb"success: (\S+) entered RUNNING state")
_EXITED = re.compile(rb"(?:exited: (?P<name>\S+) \((?P<how>[^;)]*)|spawnerr: (?P<spawn>.*))")


@dataclass(frozen=True, slots=True)
class ProgramExit:
    """An unexpected exit of a program; supervisord restarts it."""

    program: str
    how: str


class Supervisor:
    """A running supervisord.

    `up` are the programs that had run for a second or more at the last call of `exits`.
    """

    def __init__(self, plan: Plan, lock: IO[str]) -> None:
        """Start supervisord. It holds `lock` for its lifetime, as its standard input."""
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)  # adopt its children if it is killed
        self.up: set[str] = set()
        self._stop_timeout = plan.stop_timeout
        config = write_config(plan)
        logs = plan.data_dir / "logs"
        self._log = LogTail(logs / "supervisord.log")
        self._output = logs / "supervisord.out"  # errors before it opens its log
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [*killed_with_parent(), sys.executable, "-m", "supervisor.supervisord", "-c", config],
                stdin=lock,
                stdout=output,
                stderr=output,
                env={**os.environ, **plan.environment},
                start_new_session=True,  # Ctrl+C must reach only the launcher: supervisord stops its programs in order
            )

    def ended(self) -> str:
        """Return why supervisord has ended by itself, an empty text while it runs."""
        if self._process.poll() is None:
            return ""
        return last_line(self._output) or f"exit status {self._process.returncode}"

    def exits(self) -> list[ProgramExit]:
        """Return the unexpected exits since the last call."""
        lines = self._log.new_lines()
        self.up |= {found[1].decode() for line in lines if (found := _UP.search(line))}
        exits = [_program_exit(found) for line in lines if (found := _EXITED.search(line))]
        self.up -= {exited.program for exited in exits}
        return exits

    def end(self) -> None:
        """Stop all processes and wait for them. Kill those that exceed their time."""
        deadline = time.monotonic() + self._stop_timeout + 1
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(self._stop_timeout + 1)
        self._process.kill()
        self._process.wait()
        _end_orphans(deadline)


def _program_exit(found: re.Match[bytes]) -> ProgramExit:
    name, how = (found["name"], found["how"]) if found["name"] else (b"a program", found["spawn"])
    return ProgramExit(name.decode(errors="replace"), how.decode(errors="replace"))


def _end_orphans(deadline: float) -> None:
    """Wait for the processes that supervisord left to us (they got SIGTERM when it died). Kill them at `deadline`."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            if time.monotonic() > deadline:
                children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text()
                for child in children.split():
                    with suppress(ProcessLookupError):
                        os.kill(int(child), signal.SIGKILL)
            time.sleep(0.05)

"""supervisord as a child process: start it, hear what it says of the parts, stop it, leave nothing behind.

What it says is read from its log on standard output, so that watching it costs nothing while nothing happens.
"""

from __future__ import annotations

import ctypes
import os
import re
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from launcher.plan import Plan
from launcher.supervisor_config import dies_with_parent, write_config

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
_DIED = re.compile(r"(?:exited: (?P<name>\S+) \((?P<how>[^;)]*)|spawnerr: (?P<spawn>.*))")


@dataclass(frozen=True, slots=True)
class Death:
    """A part ended without having been told to; supervisord starts it again."""

    part: str
    how: str


class Supervision:
    """A running supervisord. Owned by the main thread; `stop` may be called from its signal handlers."""

    def __init__(self, plan: Plan, lock: IO[str]) -> None:
        """Start it. It holds `lock` for as long as it lives, as its standard input."""
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)  # if it is killed, its children become ours to end
        self._patience = plan.patience
        self._unread = b""
        self._process = subprocess.Popen(
            [*dies_with_parent(), sys.executable, "-m", "supervisor.supervisord", "-c", write_config(plan)],
            stdin=lock,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **plan.environment},
            start_new_session=True,  # Ctrl+C is for us alone: supervisord stops its parts in their order
        )

    def stop(self) -> None:
        """Ask for an orderly stop; returns at once."""
        self._process.terminate()

    def wait(self, seconds: float) -> Death | None:
        """The next death of a part, or None after `seconds`. Raises EOFError when supervisord has ended."""
        deadline = time.monotonic() + seconds
        while True:
            line, found, rest = self._unread.partition(b"\n")
            if found:
                self._unread = rest
                if death := _death(line.decode(errors="replace")):
                    return death
            elif not self._read(max(0.0, deadline - time.monotonic())):
                return None

    def _read(self, seconds: float) -> bool:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            return False
        data = os.read(self._process.stdout.fileno(), 65536)
        if not data:
            raise EOFError
        self._unread += data
        return True

    def end(self) -> None:
        """Stop it and wait until no process of it is left; what outlives its time is killed."""
        self.stop()
        deadline = time.monotonic() + self._patience + 1
        with suppress(EOFError):
            while (left := deadline - time.monotonic()) > 0:
                self.wait(left)
        if self._process.poll() is None and time.monotonic() > deadline:
            self._process.kill()
        self._process.wait()
        _end_orphans(deadline)


def _death(line: str) -> Death | None:
    found = _DIED.search(line)
    if not found:
        return None
    if found["spawn"]:
        return Death("a process", found["spawn"])
    return Death(found["name"], found["how"])


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

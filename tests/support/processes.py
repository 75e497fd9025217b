"""Starts real programs for tests, waits until they are ready, and stops them.

The kernel kills a program started here when the test process ends, however that ends.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")

# PR_SET_PDEATHSIG fires when the *thread* that forked ends: start every program from a thread that never ends.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")
# Below the kernel's ephemeral range, so that no outgoing connection takes a port between check and use.
_PORTS = range(20_000, 32_000)
_random = random.SystemRandom()


def free_port() -> int:
    """Return a loopback TCP port that nothing listens on."""
    while True:
        port = _random.choice(_PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port


def wait_until(condition: Callable[[], Found], timeout: float = 20, message: str = "") -> Found:
    """Poll `condition` for `timeout` seconds and return its first true value.

    Raises AssertionError with `message` and the last value after that.
    """
    deadline = time.monotonic() + timeout
    pause = 0.002
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{message or condition} not true after {timeout} s, last value {value!r}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


class Process:
    """A program in its own session, with its output in a file. Use it from one thread at a time."""

    def __init__(
        self, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        self.argv = list(argv)
        self.log = log
        self._env = None if env is None else dict(env)
        self._cwd = cwd
        self._child: subprocess.Popen[bytes] | None = None
        self._group_may_live = False

    @property
    def pid(self) -> int:
        assert self._child is not None, f"{self.argv[0]} was never started"
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return None if self._child is None else self._child.poll()

    def start(self) -> None:
        """Start the program without waiting until it is ready."""
        assert not self.running, f"{self.argv[0]} runs already"
        self._child = _spawner.submit(self._spawn).result()
        self._group_may_live = True

    def _spawn(self) -> subprocess.Popen[bytes]:
        setpriv = shutil.which("setpriv")
        die_with_us = [setpriv, "--pdeathsig", "KILL"] if setpriv else []
        with self.log.open("ab") as output:
            return subprocess.Popen(
                die_with_us + self.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._env,
                cwd=self._cwd,
                start_new_session=True,
            )

    def output(self) -> str:
        """Return everything that the program has written so far, over all its starts."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_ready(self, ready: Callable[[], Found], timeout: float) -> Found:
        """Return the first true value of `ready`. Fail at once, with the program's output, if the program ends
        before.
        """

        def ready_or_dead() -> Found:
            if not self.running:
                raise AssertionError(f"{self.argv} ended with {self.returncode}:\n{self.output()[-4000:]}")
            return ready()

        return wait_until(ready_or_dead, timeout, f"{self.argv[0]} being ready")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program, not to its children."""
        os.kill(self.pid, number)

    def suspend(self) -> None:
        """Send SIGSTOP, and wait until no thread of the program runs: the signal alone only asks for it."""
        self.signal(signal.SIGSTOP)
        threads = Path(f"/proc/{self.pid}/task")

        def stopped() -> bool:
            return all((one / "stat").read_text().rpartition(")")[2].split()[0] == "T" for one in threads.iterdir())

        wait_until(stopped, message=f"{self.argv[0]} being stopped")

    def stop(self, timeout: float = 30) -> int:
        """Send SIGTERM, then SIGKILL after `timeout` seconds. Return the exit status."""
        assert self._child is not None, f"{self.argv[0]} was never started"
        if self.running:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(timeout)
        return self.kill()

    def kill(self) -> int:
        """Send SIGKILL to the program and its children. Return the exit status."""
        assert self._child is not None, f"{self.argv[0]} was never started"
        if self._group_may_live:  # only once: later the number may belong to another program
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._group_may_live = False
        return self._child.wait(30)

"""A lock on DATA_DIR: one running service per directory."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from launcher.errors import StartFailed
from launcher.terminal import say


def take_lock(data_dir: Path, timeout: float = 30) -> IO[str]:
    """Return the open, locked file. The lock lasts until the last process that has it open ends.

    If the holder's launcher was killed, its processes are stopping: wait up to `timeout` seconds for them. Raises
    StartFailed if the service is running already.
    """
    lock = (data_dir / "lock").open("a+")
    deadline = time.monotonic() + timeout
    waiting = False
    while not _locked(lock):
        lock.seek(0)
        holder = lock.read().strip()
        if not holder or _runs(holder) or time.monotonic() > deadline:
            raise StartFailed(f"already running in {data_dir} (process {holder or 'unknown'}); stop it first")
        if not waiting:
            say("Waiting for an earlier run, which was killed, to stop …")
            waiting = True
        time.sleep(0.1)
    lock.seek(0)
    lock.truncate()
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _locked(lock: IO[str]) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _runs(pid: str) -> bool:
    with suppress(OSError):
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())  # empty for a zombie
    return False

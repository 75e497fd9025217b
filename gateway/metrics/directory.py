"""The files of counters of a host's processes.

Every process has files under a unique name and is alive while it holds the lock on `<name>.alive`, which the kernel
releases when the process ends. Process ids do not work: they are reused, and two containers that share the directory
may have the same.

The first process of a host deletes all files. Every other process merges the files of dead processes into one set, so
that no count is lost and workers that crash repeatedly do not fill the directory.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

_RETIRED = "retired"
_SIZES = {"counter": 2 << 20, "histogram": 6 << 20}
"""Bytes allocated in advance, enough for the instruments' labels: writing to a mapped file on a full disk kills the
process."""


_process = os.getpid()  # cached: each count needs it, and getpid takes longer than counting


def _forked() -> None:
    global _process  # noqa: PLW0603 - one per process
    _process = os.getpid()


os.register_at_fork(after_in_child=_forked)


class Directory:
    """The shared directory. Thread-safe: it changes files of other processes only under the directory's lock."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._names: dict[int, str] = {}  # by process id: a fork is another process

    def name(self) -> str:
        """Return this process's name; claim it at the first call. Raises OSError, on a full disk for example."""
        if _process not in self._names:
            self._names = {_process: self._claim()}
        return self._names[_process]

    @contextmanager
    def locked(self, *, shared: bool = False) -> Iterator[None]:
        """Lock the directory against claims and merges; with `shared`, readers may hold it together."""
        with (self.path / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            yield

    def _claim(self) -> str:
        """Claim a name. The lock on it lasts until the process ends."""
        name = secrets.token_hex(8)
        with self.locked():
            claims = list(self.path.glob("*.alive"))
            dead = [claim for claim in claims if not _locked_by_other(claim)]
            if len(dead) == len(claims):
                self._clear()
            else:
                self._merge(dead)
            fcntl.flock(os.open(self.path / f"{name}.alive", os.O_CREAT | os.O_RDWR, 0o600), fcntl.LOCK_EX)
            for kind, size in _SIZES.items():
                _reserve(self.path / f"{kind}_{name}.db", size)
        return name

    def _clear(self) -> None:
        for file in (*self.path.glob("*.db"), *self.path.glob("*.alive")):
            file.unlink()

    def _merge(self, dead: list[Path]) -> None:
        for kind in _SIZES:
            files = [file for claim in dead if (file := self.path / f"{kind}_{claim.stem}.db").exists()]
            if files:
                self._merge_kind(kind, files)
        for claim in dead:
            claim.unlink()

    def _merge_kind(self, kind: str, files: list[Path]) -> None:
        retired = self.path / f"{kind}_{_RETIRED}.db"
        sources = [*files, retired] if retired.exists() else files
        merged = MultiProcessCollector.merge([str(file) for file in sources], accumulate=False)
        unfinished = retired.with_suffix(".new")
        _reserve(unfinished, sum(_used(file) for file in sources))
        written = MmapedDict(str(unfinished))
        for metric in merged:
            for sample in metric.samples:
                key = mmap_key(
                    metric.name, sample.name, list(sample.labels), list(sample.labels.values()), metric.documentation
                )
                written.write_value(key, sample.value, 0.0)
        written.close()
        for file in files:  # a kill before the next line loses counts instead of doubling them
            file.unlink()
        unfinished.replace(retired)


def _reserve(file: Path, size: int) -> None:
    try:
        with file.open("wb") as out:
            os.posix_fallocate(out.fileno(), 0, size)
    except OSError:
        with suppress(OSError):
            file.unlink()
        raise


def _used(file: Path) -> int:
    """Return the bytes of a file that hold values; its first four bytes contain this number."""
    with file.open("rb") as counted:
        return max(mmap.PAGESIZE, int.from_bytes(counted.read(4), sys.byteorder))


def _locked_by_other(claim: Path) -> bool:
    with claim.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False

"""The files in which the processes of a host count, and which of them belong to the living.

Every process has files of its own, under a name that nobody else ever had, and is alive for as long as it holds the
lock on `<name>.alive`: the kernel lets go of it however the process ends. Process numbers would not do: they are used
again, and two containers that share the directory have the same ones.

The first process of a host starts from nothing. Every other one folds what the dead have counted into one set of files,
so that nothing is lost and a worker that keeps dying does not fill the directory.
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
"""Bytes that are taken of the disk beforehand, enough for what the instruments' labels allow: writing to a mapped file
that the disk has no room for kills the process."""


_process = os.getpid()  # whoever counts asks for it each time, and the kernel takes longer to say than we to count


def _forked() -> None:
    global _process  # noqa: PLW0603 - there is one
    _process = os.getpid()


os.register_at_fork(after_in_child=_forked)


class Directory:
    """Thread-safe: whatever it does to files of others it does under the directory's lock."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._names: dict[int, str] = {}  # by process number: a fork is another process

    def name(self) -> str:
        """The name of this process, claimed when it is first asked for. Raises OSError when the disk is full, say."""
        if _process not in self._names:
            self._names = {_process: self._claim()}
        return self._names[_process]

    @contextmanager
    def locked(self, *, shared: bool = False) -> Iterator[None]:
        """While others neither claim nor fold; with `shared`, beside others that only read."""
        with (self.path / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            yield

    def _claim(self) -> str:
        """The lock is let go of when the process ends, and not before."""
        name = secrets.token_hex(8)
        with self.locked():
            claims = list(self.path.glob("*.alive"))
            dead = [claim for claim in claims if not _held(claim)]
            if len(dead) == len(claims):
                self._clear()
            else:
                self._fold(dead)
            fcntl.flock(os.open(self.path / f"{name}.alive", os.O_CREAT | os.O_RDWR, 0o600), fcntl.LOCK_EX)
            for kind, size in _SIZES.items():
                _reserve(self.path / f"{kind}_{name}.db", size)
        return name

    def _clear(self) -> None:
        for file in (*self.path.glob("*.db"), *self.path.glob("*.alive")):
            file.unlink()

    def _fold(self, dead: list[Path]) -> None:
        for kind in _SIZES:
            files = [file for claim in dead if (file := self.path / f"{kind}_{claim.stem}.db").exists()]
            if files:
                self._fold_kind(kind, files)
        for claim in dead:
            claim.unlink()

    def _fold_kind(self, kind: str, files: list[Path]) -> None:
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
        for file in files:  # killed between here and the next line we lose counts, rather than count twice
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
    """Bytes of it that hold values; they stand in its first four."""
    with file.open("rb") as counted:
        return max(mmap.PAGESIZE, int.from_bytes(counted.read(4), sys.byteorder))


def _held(claim: Path) -> bool:
    with claim.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False

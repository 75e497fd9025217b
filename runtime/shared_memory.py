"""Files that all processes of a host map into memory, so that a change is seen at once, without the store."""

from __future__ import annotations

import mmap
import os
from pathlib import Path


def mapped(path: Path, size: int) -> mmap.mmap:
    """Return the first `size` bytes of a file, which is created if it is missing. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if os.fstat(descriptor).st_size < size:
            os.ftruncate(descriptor, size)  # keeps the content: other processes may have mapped it
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)

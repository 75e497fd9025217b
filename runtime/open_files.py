"""How many files a process may have open; sockets are files."""

from __future__ import annotations

import resource
from contextlib import suppress

_ENOUGH = 65_536


def allow_many() -> None:
    """Raise this process's own limit as far as it may (setrlimit(2)): a shell's is often 1,024, which a few consumers
    of slow targets use up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(_ENOUGH, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # it works with fewer, too
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

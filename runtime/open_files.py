"""The limit of open files of a process, which include sockets."""

from __future__ import annotations

import resource
from contextlib import suppress

_ENOUGH = 65_536


def allow_many() -> None:
    """Raise the limit of open files as far as the process may (setrlimit(2)). A shell's limit is often 1,024, which a
    few consumers with slow targets exceed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(_ENOUGH, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # the process also works with the lower limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

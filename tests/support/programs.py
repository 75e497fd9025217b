"""The programs that tests run and Debian's packages bring."""

from __future__ import annotations

import os
import shutil

# Debian's wrappers of RabbitMQ's scripts, in PATH, change user and directory; the scripts behind them do not.
_PLACES = os.pathsep.join(["/usr/lib/rabbitmq/bin", os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin"])


def find(program: str) -> str | None:
    """Where it is; None when it is not installed."""
    return shutil.which(program, path=_PLACES)


def require(what: str, *programs: str) -> str:
    """Where the first of `programs` is. The test is skipped when one is not installed; with REQUIRE_<WHAT>=1 in the
    environment it fails."""
    import pytest  # not at the top: benchmarks do without it

    found = {program: find(program) for program in programs}
    missing = [program for program, place in found.items() if place is None]
    if missing:
        reason = f"not installed, which .ci/run does: {', '.join(missing)}"
        variable = f"REQUIRE_{what}"
        if os.environ.get(variable) == "1":
            pytest.fail(f"{variable}=1, but {reason}")
        pytest.skip(reason)
    return str(found[programs[0]])

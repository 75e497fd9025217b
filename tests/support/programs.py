"""The programs of Debian's packages that tests run."""

from __future__ import annotations

import os
import shutil

_PLACES = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin"])


def find(program: str) -> str | None:
    """Return the path of a program of this host, the first in PATH; None if it is not installed."""
    return shutil.which(program, path=_PLACES)


def require(what: str, *programs: str) -> str:
    """Return the path of the first of `programs`. Skips the test if one is not installed; see `unavailable`."""
    found = {program: find(program) for program in programs}
    missing = [program for program, place in found.items() if place is None]
    if missing:
        unavailable(what, f"not installed, which .ci/run does: {', '.join(missing)}")
    return str(found[programs[0]])


def unavailable(what: str, reason: str) -> None:
    """Skip the test for this reason. With REQUIRE_<WHAT>=1 in the environment the test fails instead."""
    import pytest  # not at the top: benchmarks run without pytest

    variable = f"REQUIRE_{what}"
    if os.environ.get(variable) == "1":
        pytest.fail(f"{variable}=1, but {reason}")
    pytest.skip(reason)

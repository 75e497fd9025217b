"""Programs of this project that an example needs beside it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from launcher.supervisor_config import dies_with_parent

PROJECT = Path(__file__).parents[1]


@contextmanager
def child(module: str, *arguments: str, ready: str, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`python -m MODULE ARGUMENTS` once it has printed a line with `ready`, and that line; ended in order on leaving.

    Ctrl+C does not reach it. Raises ChildProcessError when it ends before it is ready; it has said why.
    """
    command = [*dies_with_parent(), sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, cwd=PROJECT, env=os.environ | settings, stdout=subprocess.PIPE, text=True,
                          start_new_session=True) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            line = next((line for line in process.stdout if ready in line), "")
            if not line:
                raise ChildProcessError(f"`python -m {module}` could not start.")
            yield process, line
        finally:
            process.terminate()
            process.communicate()

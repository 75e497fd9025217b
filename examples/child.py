"""Programs of this project that an example needs beside it."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

from launcher.supervisor_config import killed_with_parent

PROJECT = Path(__file__).parents[1]


@contextmanager
def child(module: str, *arguments: str, ready: str, **settings: str) -> Iterator[tuple[Popen[str], str]]:
    """`python -m MODULE ARGUMENTS` once it has printed a line with `ready`, and that line; ended in order on leaving.

    Ctrl+C does not reach it. Raises ChildProcessError when it ends before it is ready; it has said why.
    """
    command = [*killed_with_parent(), sys.executable, "-m", module, *arguments]
    with ExitStack() as until_it_ends:
        process = until_it_ends.enter_context(
            Popen(command, cwd=PROJECT, env=os.environ | settings, stdout=PIPE, text=True, start_new_session=True)
        )
        until_it_ends.callback(process.terminate)
        line = next((line for line in process.stdout or () if ready in line), "")
        if not line:
            raise ChildProcessError(f"`python -m {module}` could not start.")
        yield process, line

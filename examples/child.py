"""Runs other programs of this project that an example needs."""

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
    """Run `python -m MODULE ARGUMENTS` and yield it with its first line that contains `ready`. Stop it in order on
    exit.

    Ctrl+C does not reach it. Raises ChildProcessError if it ends before; it has printed the reason.
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

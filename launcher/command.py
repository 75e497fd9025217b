"""`workerrmq`: the command of the installed package. Each subcommand becomes a program of the service, so signals reach
that program directly. Settings come from the environment and from .env in the working directory."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).parents[1]


def short(path: Path) -> str:
    """Return a path relative to the working directory if it is inside it: supervisord's file needs no escaping then."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def web() -> tuple[str, ...]:
    """Return the arguments of Python for the REST API."""
    return "-m", "gunicorn", "--config", short(PROJECT / "gunicorn.conf.py"), "wsgi:app"


def worker() -> tuple[str, ...]:
    """Return the arguments of Python for a worker."""
    return (short(PROJECT / "WorkerRMQ.py"),)


SUBCOMMANDS: dict[str, Callable[[], tuple[str, ...]]] = {
    "start": lambda: ("-m", "launcher"),
    "web": web,
    "worker": worker,
    "reset-password": lambda: ("-m", "launcher.reset_password"),
    "flask": lambda: ("-m", "flask", "--app", "wsgi"),
}

USAGE = """usage: workerrmq start                    start the service and all that it needs on this machine
       workerrmq web [GUNICORN-OPTIONS]   start the REST API
       workerrmq worker                   start a worker
       workerrmq reset-password [USER]    set a new password for a user of `workerrmq start`
       workerrmq flask COMMAND ...        run a command for users, the secret key or the log level"""


def main() -> None:
    """Replace this process by the program of a subcommand."""
    name, *arguments = sys.argv[1:] or [""]
    if name not in SUBCOMMANDS:
        sys.exit(USAGE)
    os.execv(sys.executable, [sys.executable, *SUBCOMMANDS[name](), *arguments])

"""supervisord's configuration file for a plan (http://supervisord.org/configuration.html)."""

from __future__ import annotations

import os
import shlex
import shutil

from launcher.errors import StartFailed
from launcher.plan import Part, Plan


def write_config(plan: Plan) -> str:
    """Write the file into the plan's data directory and return its path. Secrets are in the environment only."""
    logs = plan.data_dir / "logs"
    logs.mkdir(exist_ok=True)
    stages: dict[int, list[str]] = {}
    for part in plan.parts:
        stages.setdefault(part.stage, []).append(part.name)
    sections = [
        _section(
            "supervisord",
            nodaemon="true",
            silent="true",
            user=str(os.getuid()),
            umask="077",
            logfile=str(logs / "supervisord.log"),
            logfile_maxbytes="1MB",
            logfile_backups="1",
            pidfile=str(plan.data_dir / "supervisord.pid"),
            childlogdir=str(logs),
            nocleanup="true",
        ),
        *(_program(part, str(logs / f"{part.name}.log")) for part in plan.parts),
        # A group stops as one, and groups stop one after the other, the highest priority first.
        *(_section(f"group:stage{n}", programs=",".join(names), priority=str(n)) for n, names in stages.items()),
    ]
    file = plan.data_dir / "supervisord.conf"
    file.write_text("\n".join(sections))
    return str(file)


def dies_with_parent() -> tuple[str, ...]:
    """Return a command prefix that has the kernel send SIGTERM to the command when its parent is killed."""
    setpriv = shutil.which("setpriv")  # util-linux: on every Debian and Ubuntu
    return (setpriv, "--pdeathsig", "TERM") if setpriv else ()


def _program(part: Part, log: str) -> str:
    return _section(
        f"program:{part.name}",
        command=shlex.join((*dies_with_parent(), *part.command)),
        autorestart="true",
        startretries="1000000",  # each waits a second longer than the one before; never give up
        stopwaitsecs=str(part.patience),
        killasgroup="true",
        redirect_stderr="true",
        stdout_logfile=log,
        stdout_logfile_maxbytes="10MB",
        stdout_logfile_backups="3",
    )


def _section(title: str, **options: str) -> str:
    for value in options.values():
        if any(mark in value for mark in (" ;", " #", "\n")):
            raise StartFailed(f"supervisord cannot be given a path like {value!r}: set DATA_DIR to a plainer one")
    lines = (f"{name}={value.replace('%', '%%')}" for name, value in options.items())
    return "\n".join((f"[{title}]", *lines, ""))

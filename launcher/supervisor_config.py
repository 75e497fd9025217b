"""supervisord's configuration file for a plan (http://supervisord.org/configuration.html)."""

from __future__ import annotations

import os
import shlex
import shutil

from launcher.errors import StartFailed
from launcher.plan import Plan, Program


def write_config(plan: Plan) -> str:
    """Write the file into the plan's data directory and return its path. Secrets are in the environment only."""
    logs = plan.data_dir / "logs"
    logs.mkdir(exist_ok=True)
    stages: dict[int, list[str]] = {}
    for program in plan.programs:
        stages.setdefault(program.stage, []).append(program.name)
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
        *(_program(program, str(logs / f"{program.name}.log")) for program in plan.programs),
        # A group's programs stop together; groups stop one after another, the highest priority first.
        *(_section(f"group:stage{n}", programs=",".join(names), priority=str(n)) for n, names in stages.items()),
    ]
    file = plan.data_dir / "supervisord.conf"
    file.write_text("\n".join(sections))
    return str(file)


def killed_with_parent() -> tuple[str, ...]:
    """Return a command prefix that has the kernel send SIGTERM to the command when its parent is killed."""
    setpriv = shutil.which("setpriv")  # part of util-linux
    return (setpriv, "--pdeathsig", "TERM") if setpriv else ()


def _program(program: Program, log: str) -> str:
    return _section(
        f"program:{program.name}",
        command=shlex.join((*killed_with_parent(), *program.command)),
        autorestart="true",
        startretries="1000000",  # each retry waits a second longer; never give up
        stopwaitsecs=str(program.stop_timeout),
        killasgroup="true",
        redirect_stderr="true",
        stdout_logfile=log,
        stdout_logfile_maxbytes="10MB",
        stdout_logfile_backups="3",
    )


def _section(title: str, **options: str) -> str:
    for value in options.values():
        if any(mark in value for mark in (" ;", " #", "\n")):
            raise StartFailed(f"supervisord does not accept the path {value!r}. Set DATA_DIR to a simpler one")
    lines = (f"{name}={value.replace('%', '%%')}" for name, value in options.items())
    return "\n".join((f"[{title}]", *lines, ""))

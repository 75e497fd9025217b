"""Postman's own runner of collections, of npm."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.support.programs import require

_VERSION = "6.2.2"
_PLACE = Path.home() / ".cache" / "workerrmq" / f"newman-{_VERSION}"


def newman() -> Path:
    """Return the path of newman, which npm installs once on a machine. Skips the test without Node and npm."""
    npm = require("NODE", "npm", "node")
    program = _PLACE / "node_modules" / ".bin" / "newman"
    if not program.exists():
        _PLACE.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", f"newman@{_VERSION}"]
        subprocess.run(command, cwd=_PLACE, check=True, timeout=110)
    return program


def run(collection: Path, *options: str, **variables: str) -> tuple[subprocess.CompletedProcess[str], list[Any]]:
    """Run a collection; return what newman said, and each request as it reports it."""
    report = collection.with_suffix(".report.json")
    given = [word for name, value in variables.items() for word in ("--env-var", f"{name}={value}")]
    command = [str(newman()), "run", str(collection), *options, *given, "--color", "off", "--timeout-request", "30000"]
    command += ["--reporters", "cli,json", "--reporter-json-export", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    return done, json.loads(report.read_text())["run"]["executions"]

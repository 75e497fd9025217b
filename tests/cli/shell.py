"""A person's shell on a laptop: the real commands, in this process, with a separate home and environment."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from cli import rmq


class Shell:
    """Runs `flask rmq …` against the service at `url`."""

    def __init__(self, home: Path, url: str) -> None:
        self.home = home
        self.environment: dict[str, str | None] = {
            "HOME": str(home),
            "XDG_CONFIG_HOME": None,
            "XDG_CACHE_HOME": None,
            "WORKERRMQ_API_KEY": None,
            "WORKERRMQ_URL": url,
        }

    def run(self, *arguments: str, typed: str | bytes = "") -> Result:
        """Run a command, with `typed` on its standard input."""
        return CliRunner(env=self.environment).invoke(rmq, arguments, input=typed)

    def done(self, *arguments: str, typed: str | bytes = "") -> str:
        """Run a command that must succeed. Return its standard output."""
        result = self.run(*arguments, typed=typed)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str) -> Any:
        """Run a command with --json. Return the parsed output."""
        return json.loads(self.done(*arguments, "--json"))

    def fails(self, status: int, *arguments: str, typed: str | bytes = "") -> str:
        """Run a command that must exit with `status`. Return its standard error."""
        result = self.run(*arguments, typed=typed)
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        return result.stderr

    def for_process(self) -> dict[str, str]:
        """The environment for a separate process."""
        kept = {name: value for name, value in os.environ.items() if name not in self.environment}
        return kept | {name: value for name, value in self.environment.items() if value is not None}

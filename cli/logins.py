"""Stored logins: one token for each service, in a file that only its owner can read, and the service used last."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.errors import Failed


@dataclass(frozen=True, slots=True)
class Logins:
    """The file `logins.json`, by default in the user's configuration directory (XDG Base Directory Specification)."""

    path: Path

    @classmethod
    def of_current_user(cls) -> Logins:
        """Return the logins of the user that runs the command."""
        base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        return cls(Path(base) / "workerrmq" / "logins.json")

    def last_url(self) -> str | None:
        """Return the URL of the last login."""
        url = self._read().get("last")
        return url if isinstance(url, str) else None

    def token(self, url: str) -> str | None:
        """Return the token for a service, None without a login."""
        token = self._tokens().get(url)
        return token if isinstance(token, str) else None

    def save(self, url: str, token: str) -> None:
        """Store a login and make its service the default. Raises Failed."""
        self._write({"last": url, "tokens": {**self._tokens(), url: token}})

    def delete(self, url: str) -> None:
        """Delete a login. Raises Failed."""
        content = self._read()
        tokens = {other: token for other, token in self._tokens().items() if other != url}
        self._write({**content, "tokens": tokens})

    def _tokens(self) -> dict[str, Any]:
        tokens = self._read().get("tokens")
        return tokens if isinstance(tokens, dict) else {}

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self.path.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as exc:
            raise Failed(f"{self.path} cannot be read ({exc}). Delete it and log in again.") from None
        return content if isinstance(content, dict) else {}

    def _write(self, content: dict[str, Any]) -> None:
        try:
            write_private(self.path, content)
        except OSError as exc:
            raise Failed(f"The login cannot be stored in {self.path}: {exc.strerror}.") from None


def write_private(path: Path, content: Any) -> None:
    """Write JSON to a file that only its owner can read, as a whole or not at all. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=path.parent)  # creates it with mode 0600
    with os.fdopen(number, "w") as file:
        json.dump(content, file)
    Path(name).replace(path)

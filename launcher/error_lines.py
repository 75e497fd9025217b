"""Errors that running parts write into their JSON logs, for the operator's terminal."""

from __future__ import annotations

import json
from pathlib import Path

_LEVELS = ("error", "critical")


class ErrorLines:
    """Follows the log of one part from its present end on, through rotations."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._offset = self._size()

    def new(self) -> list[str]:
        """The messages of error level written since the last call, the oldest first."""
        size = self._size()
        if size == self._offset:
            return []
        with self.log.open("rb") as lines:
            lines.seek(self._offset if size > self._offset else 0)  # shorter: rotated
            data = lines.read(1024 * 1024)
            whole, _, _ = data.rpartition(b"\n")
            self._offset = lines.tell() - len(data) + len(whole) + bool(whole)
        return [message for line in whole.splitlines() if (message := _error_in(line))]

    def _size(self) -> int:
        try:
            return self.log.stat().st_size
        except FileNotFoundError:
            return 0


def last_line(log: Path) -> str:
    """The last line of `log` that is not blank, at most 300 characters of it; empty when there is none."""
    try:
        lines = log.read_bytes()[-8192:].decode(errors="replace").split("\n")
    except FileNotFoundError:
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


def _error_in(line: bytes) -> str:
    if not any(f'"{level}"'.encode() in line for level in _LEVELS):
        return ""
    try:
        entry = json.loads(line)
    except ValueError:
        return ""
    if not isinstance(entry, dict) or entry.get("level") not in _LEVELS:
        return ""
    return " ".join(str(entry[key]) for key in ("event", "error", "detail") if entry.get(key))

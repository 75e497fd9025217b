"""Reads the log files of supervisord and of the processes as they grow, for the operator's terminal."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

_MAX_READ = 1024 * 1024  # bytes
_LEVELS = ("error", "critical")

_SENTENCES = {
    "breaker_opened": "circuit breaker open for {target} ({consumers}): {reason}; next attempt in {open_seconds} s",
    "breaker_closed": "circuit breaker closed for {target}",
    "consumer_suspended": "consumer {consumer} suspended: {reason}",
}
"""The events that an operator reads in words; of these, any level is shown."""


class LogTail:
    """Follows one log file from its present end, through rotations."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._offset = self._size()

    def new_lines(self) -> list[bytes]:
        """Return the complete lines written since the last call."""
        size = self._size()
        if size == self._offset:
            return []
        with self.file.open("rb") as log:
            begin = self._offset if size > self._offset else 0  # shorter: rotated
            log.seek(begin)
            whole, newline, _ = log.read(_MAX_READ).rpartition(b"\n")
        self._offset = begin + len(whole) + len(newline)
        return whole.splitlines()

    def new_events(self) -> list[str]:
        """Return the texts of the new lines that an operator should see: errors, and the events of `_SENTENCES`."""
        return [said for line in self.new_lines() if (said := _event_in(line))]

    def _size(self) -> int:
        try:
            return self.file.stat().st_size
        except FileNotFoundError:
            return 0


def last_line(file: Path) -> str:
    """Return the last non-blank line of a log, at most 300 characters; empty without one."""
    try:
        lines = file.read_bytes()[-8192:].decode(errors="replace").split("\n")
    except FileNotFoundError:
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


def _event_in(line: bytes) -> str:
    if not any(f'"{word}"'.encode() in line for word in (*_LEVELS, *_SENTENCES)):
        return ""
    try:
        entry = json.loads(line)
    except ValueError:
        return ""
    if not isinstance(entry, dict):
        return ""
    if sentence := _SENTENCES.get(str(entry.get("event"))):
        return sentence.format_map(defaultdict(str, entry, consumers=", ".join(entry.get("consumers") or [])))
    if entry.get("level") not in _LEVELS:
        return ""
    return " ".join(str(entry[key]) for key in ("event", "consumer", "reason", "error") if entry.get(key))

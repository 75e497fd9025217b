"""The documents name every command, and every example is a valid command."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from tests.api.client import ROOT
from tests.cli.test_every_route import COMMANDS, commands

EXAMPLE = re.compile(r"flask rmq ((?!…)[^`\n|#]+)")
AFTER = re.compile(r" 2?[<>]|;|\)")
"""Where the shell's own begins."""
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_page_of_the_command_line_names_every_command_and_no_other() -> None:
    table = re.search(r"^## Commands$(.*?)^`--help`", (ROOT / "docs/CLI.md").read_text(), re.MULTILINE | re.DOTALL)
    assert table
    assert sorted(re.findall(r"`([^`]+)`", table[1])) == sorted(name for name, _ in commands())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_example_would_be_understood(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("order.json", "file", "ca.pem", "client.pem", "client.key"):
        (tmp_path / name).write_text("{}")
    for example in EXAMPLE.findall(page.read_text()):
        words = shlex.split(AFTER.split(example)[0])
        words = words[2:] if words[0] == "--url" else words
        understood(words)


def understood(words: list[str]) -> None:
    """Raises click.UsageError."""
    command: click.Command | None = COMMANDS.get(words[0])
    rest = words[1:]
    if isinstance(command, click.Group) and rest:
        command, rest = command.commands.get(rest[0]), rest[1:]
    assert command, f"there is no command {' '.join(words)}"
    if not isinstance(command, click.Group):
        command.make_context(words[0], rest)

"""docs/EMULATORS.md: each snippet, run as a separate program, prints what stands below it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SNIPPET = re.compile(r"^```python\n(.*?)^```\n(?:[^`]*?)?```\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
SNIPPETS = SNIPPET.findall((PROJECT / "docs" / "EMULATORS.md").read_text())


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_snippet_prints_what_it_says(number: int, tmp_path: Path) -> None:
    program, output = SNIPPETS[number]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-c", program]
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.stdout, ran.returncode) == (output, 0), ran.stderr


def test_there_are_snippets() -> None:
    assert len(SNIPPETS) == 4

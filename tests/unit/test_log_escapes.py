"""Names of others in the log: shown on a terminal, never obeyed by it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = [
    "\x1b[2J",
    "\x1b]0;title\x07",
    "a\rb",
    "\x9b31m",
    "\x7f",
    "\u202egnp.exe",
    "two\nlines",
    "it's \x1b[8m",
    "Ü ß",
]

LOGGING = """
import json, logging, sys, structlog
from runtime import logs
logs.configure("debug", sys.argv[1])
log = structlog.get_logger("workerrmq.test")
for text in json.loads(sys.argv[2]):
    log.info("seen", name=text, many=[text], nested={text: text}, problem=ValueError(text))
    log.info(text)
    logging.getLogger("pika").critical("closed by %s", text)
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("crashed")
"""


def logged(style: str) -> str:
    command = [sys.executable, "-c", LOGGING, style, json.dumps(HOSTILE)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=True)
    return done.stderr.decode()


@pytest.mark.parametrize("style", ["console", "json"])
def test_no_character_in_the_log_acts_on_a_terminal(style: str) -> None:
    text = logged(style)
    assert text.replace("\n", "").isprintable()
    assert r"\x1b[2J" in text or r"\u001b[2J" in text
    assert "Ü ß" in text, "what is printable stays readable"


def test_a_name_does_not_begin_a_line_of_its_own() -> None:
    lines = [line for line in logged("console").splitlines() if line.startswith("lines")]
    assert len(lines) == 1, "that of the traceback"


def test_json_keeps_the_values() -> None:
    seen = [json.loads(line) for line in logged("json").splitlines()]
    assert [line["name"] for line in seen if line["event"] == "seen"] == HOSTILE

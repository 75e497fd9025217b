"""Messages for the operator. The terminal may be closed meanwhile: that must not break the orderly stop."""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import datetime

from cli.show import printable


def say(text: str) -> None:
    """Print `text` on standard output, if it is still open."""
    with suppress(OSError):
        print(text, flush=True)


def print_error(sentence: str) -> None:
    """Print one sentence on standard error."""
    with suppress(OSError):
        print(f"run.sh: {printable(sentence)}", file=sys.stderr, flush=True)


def report(event: str) -> None:
    """Print an event with the time of day. It may quote names that a terminal must show, not obey."""
    say(f"{datetime.now().astimezone():%H:%M:%S} {printable(event)}")

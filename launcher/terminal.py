"""What the operator reads. The terminal may be closed while we run: that must not break the orderly stop."""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import datetime


def say(text: str) -> None:
    """Print `text` on standard output, if there still is one."""
    with suppress(OSError):
        print(text, flush=True)


def complain(sentence: str) -> None:
    """Print one sentence on standard error."""
    with suppress(OSError):
        print(f"run.sh: {sentence}", file=sys.stderr, flush=True)


def report(event: str) -> None:
    """Print something that has just happened, with the time of day."""
    say(f"{datetime.now().astimezone():%H:%M:%S} {event}")

"""The broker where RABBITMQ_URL names none: `python -m broker`, which all terminals share.

The first command starts it, and it ends after the last one; what is durable is kept in DATA_DIR/orders (var/orders).
"""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pika.exceptions import AMQPConnectionError

from examples.child import PROJECT, child
from examples.orders.connection import connect, say

PLACE = PROJECT / os.environ.get("DATA_DIR", "var") / "orders"


@contextmanager
def broker(place: Path | str, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """A broker that keeps its data in `place`: its process, its URL and its management API's. Raises OSError."""
    options = ("--data-dir", str(place), "--port", str(port), "--management-port", "0")
    with child("broker", *options, ready="ready") as (process, line):
        _, address, management = line.split()
        yield process, address.replace("//", "//guest:guest@") + "/%2F", management


@contextmanager
def shared() -> Iterator[str]:
    """The URL of the broker that is there as long as anybody uses it. Raises OSError."""
    PLACE.mkdir(parents=True, exist_ok=True)
    with (PLACE / "users").open("a") as users, (PLACE / "broker.log").open("ab") as log:
        fcntl.flock(users, fcntl.LOCK_SH)  # waits for one that is just ending
        if not _answering():
            command = [sys.executable, "-m", "examples.orders.embedded"]
            subprocess.Popen(command, cwd=PROJECT, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 20
        while not (known := _answering()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"The embedded broker does not start: see {PLACE / 'broker.log'}.")
            time.sleep(0.05)
        url, management = known
        say("broker", f"embedded, {url}; management API, same login: {management}")
        yield url


def _answering() -> tuple[str, str] | None:
    """Its URL and its management API's, when it is there."""
    with suppress(OSError, ValueError, AMQPConnectionError):  # ValueError: just being written
        url, management = (PLACE / "addresses").read_text().split()
        connect(url).close()
        return url, management
    return None


if __name__ == "__main__":  # what the first command starts: the shared broker, until its last user has gone
    with suppress(OSError), broker(PLACE / "data") as (_, own_url, own_management):  # another may have been first
        (PLACE / "addresses").write_text(f"{own_url} {own_management}")
        with (PLACE / "users").open("a") as everybody:
            fcntl.flock(everybody, fcntl.LOCK_EX)

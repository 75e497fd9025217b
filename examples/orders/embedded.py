"""The broker without RABBITMQ_URL: `python -m broker`, shared by all terminals.

The first command starts it, and it ends after the last one. Durable data is in DATA_DIR/orders (var/orders).
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
    """Run a broker that stores its data in `place`. Yield its process, its URL and its management API's. Raises
    OSError.
    """
    options = ("--data-dir", str(place), "--port", str(port), "--management-port", "0")
    with child("broker", *options, ready="ready") as (process, line):
        _, address, management = line.split()
        yield process, address.replace("//", "//guest:guest@") + "/%2F", management


@contextmanager
def shared() -> Iterator[str]:
    """Yield the URL of the shared broker, which runs as long as any command uses it. Raises OSError."""
    PLACE.mkdir(parents=True, exist_ok=True)
    with (PLACE / "users").open("a") as users, (PLACE / "broker.log").open("ab") as log:
        fcntl.flock(users, fcntl.LOCK_SH)  # waits for a broker that is stopping
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
    """Return the broker's URL and its management API's, None if it does not run."""
    with suppress(OSError, ValueError, AMQPConnectionError):  # ValueError: the file is being written
        url, management = (PLACE / "addresses").read_text().split()
        connect(url).close()
        return url, management
    return None


if __name__ == "__main__":  # run by the first command: the shared broker, until the last command ends
    with (
        suppress(OSError),
        broker(PLACE / "data") as (_, own_url, own_management),
    ):  # or another one runs
        (PLACE / "addresses").write_text(f"{own_url} {own_management}")
        with (PLACE / "users").open("a") as everybody:
            fcntl.flock(everybody, fcntl.LOCK_EX)

"""The broker where RABBITMQ_URL names none: `python -m broker`, which all terminals share.

The first command starts it, and it ends after the last one; what is durable is kept in DATA_DIR/orders (var/orders).
"""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from pika.exceptions import AMQPConnectionError

from examples.orders.connection import connect, say

PROJECT = Path(__file__).parents[2]
PLACE = PROJECT / os.environ.get("DATA_DIR", "var") / "orders"


class Broker:
    """`python -m broker` as a child process, on free ports that it keeps when it is closed and started again."""

    def __init__(self, place: Path | str) -> None:
        self.place = Path(place)
        self._ports = ["0", "0"]
        self.start()

    def start(self) -> None:
        """Come back when it can be used. Raises OSError, with the place of its log."""
        command = [sys.executable, "-m", "broker", "--port", self._ports[0], "--management-port", self._ports[1]]
        with (self.place / "broker.log").open("ab") as log:
            self.process = subprocess.Popen([*command, "--data-dir", str(self.place / "data")], cwd=PROJECT,
                                            stdout=subprocess.PIPE, stderr=log, start_new_session=True)  # fmt: skip
        assert self.process.stdout is not None
        ready = self.process.stdout.readline().decode().split()
        if not ready:
            raise OSError(f"The embedded broker does not start: see {self.place / 'broker.log'}.")
        self._ports = [address.rpartition(":")[2] for address in ready[1:]]
        self.url = f"amqp://guest:guest@127.0.0.1:{self._ports[0]}/%2F"
        self.management = ready[2]

    def close(self) -> None:
        """End it in order, its data kept."""
        self.process.terminate()
        self.process.wait()


@contextmanager
def shared() -> Iterator[str]:
    """The URL of the broker that is there as long as anybody uses it. Raises OSError."""
    PLACE.mkdir(parents=True, exist_ok=True)
    with (PLACE / "users").open("a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)  # waits for one that is just ending
        if not _answering():
            subprocess.Popen([sys.executable, "-m", "examples.orders.embedded"], cwd=PROJECT, start_new_session=True)
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


def keep() -> None:
    """Run the shared broker until its last user has gone."""
    with suppress(OSError), closing(Broker(PLACE)) as broker:  # another terminal was first, or broker.log tells
        (PLACE / "addresses").write_text(f"{broker.url} {broker.management}")
        with (PLACE / "users").open("a") as users:
            fcntl.flock(users, fcntl.LOCK_EX)


if __name__ == "__main__":
    keep()

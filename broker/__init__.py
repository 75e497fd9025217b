"""An embedded AMQP 0-9-1 broker: `python -m broker`, or in the process:

with broker.running() as amqp_url:
    pika.BlockingConnection(pika.URLParameters(amqp_url))
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.session.transport import ConnectionLimits


@contextmanager
def running(data_dir: Path | str | None = None, *, user: str = "guest", password: str = "guest",
            limits: ConnectionLimits | None = None) -> Iterator[str]:  # fmt: skip
    """Run a broker on a free loopback port, in its own thread, and yield its URL. Stop it on exit.

    Without `data_dir` nothing is stored. `limits` sets frame sizes and timeouts. Raises JournalRefused, OSError.
    """
    from broker.thread import BrokerThread

    thread = BrokerThread(None if data_dir is None else Path(data_dir), user, password, limits)
    thread.start()
    try:
        yield f"amqp://{user}:{password}@127.0.0.1:{thread.wait_ready()}/%2F"
    finally:
        thread.stop()

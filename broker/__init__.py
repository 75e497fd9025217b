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
    from broker.session.transport import Offer


@contextmanager
def running(data_dir: Path | str | None = None, *, user: str = "guest", password: str = "guest",
            offer: Offer | None = None) -> Iterator[str]:  # fmt: skip
    """A broker on a free loopback port, in a thread of its own; yields its URL. Ends it on leaving.

    Without `data_dir` nothing is kept. `offer` sets sizes and timeouts. Raises JournalRefused, OSError.
    """
    from broker.thread import BrokerThread

    thread = BrokerThread(None if data_dir is None else Path(data_dir), user, password, offer)
    thread.start()
    try:
        yield f"amqp://{user}:{password}@127.0.0.1:{thread.wait_ready()}/%2F"
    finally:
        thread.stop()

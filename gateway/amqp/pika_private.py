"""What the service uses of pika that is not public; tests/unit/test_pika_private.py names each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def cancel(channel: Any, consumer_tag: str, cancelled: Callable[[], None]) -> None:
    """Cancel a consumer, and go on to receive what the broker sends it until then.

    pika would reject those messages by itself. That uses up a delivery of a quorum queue's delivery limit without
    anybody having looked at it, so at the limit the message would be dropped.
    """
    channel.basic_cancel(consumer_tag, callback=lambda _frame: cancelled())
    channel._cancelled.discard(consumer_tag)

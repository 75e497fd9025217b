"""Finds the broker's limit for bodies: for a larger one RabbitMQ closes the channel, with the messages of all clients.

RabbitMQ does not report the limit (`max_message_size`, https://www.rabbitmq.com/docs/configure). So before the first
body of a larger size is published, a probe of at least that size is published to no queue, on a separate channel.
RabbitMQ confirms the probe, or closes that channel with the limit in its reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pika.exceptions import ChannelClosed

_SMALLEST_PROBE = 64 * 1024
NOWHERE = "amq.workerrmq.nowhere"
"""A routing key that no queue can have (AMQP 0-9-1 §3.1.4.1: `amq.` is reserved)."""
_TOO_LARGE = re.compile(r"is larger than configured max size (\d+)")


class SizeLimit:
    """The limit of one connection's broker. Owned by the loop's thread."""

    def __init__(self, learned: Callable[[], None]) -> None:
        """`learned` is called when a probe has ended, unless its connection was lost."""
        self._learned = learned
        self._connection: Any = None
        self.reset(None)

    def reset(self, connection: Any) -> None:
        """Use another connection, whose limit is unknown."""
        self._connection = connection
        self._allowed = 0  # bytes
        self.limit: int | None = None
        """bytes; None until a probe exceeded it"""
        self.learning = False
        """whether a probe is in flight"""

    def allows(self, size: int) -> bool | None:
        """Return whether a body of `size` bytes may be published; None if only a probe can tell."""
        if size <= self._allowed:
            return True
        return None if self.limit is None else False

    def learn(self, size: int = _SMALLEST_PROBE) -> None:
        """Publish a probe for bodies of `size` bytes, rounded up to the next power of two."""
        self.learning = True
        probe = max(_SMALLEST_PROBE, 1 << (size - 1).bit_length())
        connection, ended = self._connection, False

        def end(allowed: int) -> None:
            nonlocal ended
            if ended or connection is not self._connection or not connection.is_open:
                return
            ended, self.learning = True, False
            self._allowed = max(self._allowed, allowed)
            self._learned()

        def confirmed(_frame: Any) -> None:
            channel.close()
            end(probe)

        def closed(_channel: Any, reason: BaseException) -> None:
            found = _TOO_LARGE.search(reason.reply_text) if isinstance(reason, ChannelClosed) else None
            if found and not ended:
                self.limit = int(found[1])
            end(self.limit or probe)  # refused for another reason: the message itself will get that error

        def opened(channel: Any) -> None:
            channel.add_on_close_callback(closed)
            channel.confirm_delivery(
                confirmed, callback=lambda _frame: channel.basic_publish("", NOWHERE, bytes(probe))
            )

        channel = connection.channel(on_open_callback=opened)

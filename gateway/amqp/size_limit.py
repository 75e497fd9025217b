"""How large a body may be: over a larger one RabbitMQ closes the channel, with the messages of all others.

The limit (`max_message_size`, https://www.rabbitmq.com/docs/configure) is not shown anywhere. So before a body goes out
that is larger than any before, a probe of at least its size goes to no queue, on a channel of its own: RabbitMQ
confirms it, or closes that channel and names the limit.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pika.exceptions import ChannelClosed

_SMALLEST_PROBE = 64 * 1024
_NOWHERE = "amq.workerrmq.nowhere"
"""A routing key that no queue can have (AMQP 0-9-1 §3.1.4.1: `amq.` is reserved)."""
_TOO_LARGE = re.compile(r"is larger than configured max size (\d+)")


class SizeLimit:
    """Of the broker at the other end of one connection. Owned by the loop's thread."""

    def __init__(self, learned: Callable[[], None]) -> None:
        """`learned` is called when a probe has ended, except when its connection is lost."""
        self._learned = learned
        self._connection: Any = None
        self.reset(None)

    def reset(self, connection: Any) -> None:
        """Use another connection, about which nothing is known."""
        self._connection = connection
        self._allowed = 0  # bytes
        self.limit: int | None = None
        """bytes; None until a body was larger"""
        self.learning = False
        """whether a probe is on its way"""

    def allows(self, size: int) -> bool | None:
        """Whether a body of so many bytes may be published; None when that must be learned."""
        if size <= self._allowed:
            return True
        return None if self.limit is None else False

    def learn(self, size: int = _SMALLEST_PROBE) -> None:
        """Find out about bodies of `size` bytes, and of all sizes up to the next power of two."""
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
            end(self.limit or probe)  # refused for another reason: let the message itself hear it

        def opened(channel: Any) -> None:
            channel.add_on_close_callback(closed)
            channel.confirm_delivery(
                confirmed, callback=lambda _frame: channel.basic_publish("", _NOWHERE, bytes(probe))
            )

        channel = connection.channel(on_open_callback=opened)

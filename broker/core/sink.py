"""The client's side of a channel: what the broker sends to the client."""

from __future__ import annotations

from typing import Protocol

from broker.core.message import Entry, Message
from broker.errors import AmqpError


class Sink(Protocol):
    """Receives a channel's notifications. It must not call the channel from within one."""

    @property
    def writable(self) -> bool:
        """Return whether the sink accepts deliveries. When it accepts them again, its owner calls `Channel.wake`."""

    def deliver(self, consumer_tag: str, delivery_tag: int, entry: Entry) -> None:
        """Send basic.deliver."""

    def returned(self, message: Message, error: AmqpError) -> None:
        """Send basic.return: a mandatory message was not routed."""

    def confirmed(self, delivery_tag: int, multiple: bool, taken: bool) -> None:
        """Send basic.ack, or basic.nack when not `taken`."""

    def confirms_due(self) -> None:
        """Schedule a `flush` of the confirms before the sink's owner becomes idle."""

    def cancelled(self, consumer_tag: str) -> None:
        """Send basic.cancel: the consumer's queue was deleted."""

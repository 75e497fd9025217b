"""What a core channel tells its client, as frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pamqp.commands import Basic

from broker.core.message import Entry, Message
from broker.errors import AmqpError
from broker.protocol import properties as wire
from broker.protocol.connection import return_payload
from broker.protocol.content import deliver_payload
from broker.protocol.methods import short_string

if TYPE_CHECKING:
    from broker.session.connection import Connection


class WireSink:
    """The `core.channel.Sink` of one channel of a connection."""

    def __init__(self, connection: Connection, number: int, wants_cancel: Callable[[], bool]) -> None:
        self._connection = connection
        self._number = number
        self._wants_cancel = wants_cancel
        self.delivered = 0

    @property
    def writable(self) -> bool:
        """See Sink.writable."""
        return self._connection.writable

    def deliver(self, consumer_tag: str, delivery_tag: int, entry: Entry) -> None:
        """See Sink.deliver."""
        message = entry.message
        payload = deliver_payload(short_string(consumer_tag), delivery_tag, entry.redelivered,
                                  short_string(message.exchange) + short_string(message.routing_key))  # fmt: skip
        self.delivered += 1
        self.content(payload, delivered_properties(entry), message.body or b"")

    def returned(self, message: Message, error: AmqpError) -> None:
        """See Sink.returned."""
        self.content(return_payload(error, message.exchange, message.routing_key), message.properties,
                     message.body or b"")  # fmt: skip

    def content(self, payload: bytes, properties: bytes, body: bytes) -> None:
        """A method with a message."""
        self._connection.write(self._connection.protocol.send_content(self._number, payload, properties, body))

    def confirmed(self, delivery_tag: int, multiple: bool, taken: bool) -> None:
        """See Sink.confirmed."""
        send = self._connection.protocol.send
        if taken:
            self._connection.write(send(self._number, Basic.Ack, delivery_tag, multiple))
        else:
            self._connection.write(send(self._number, Basic.Nack, delivery_tag, multiple, False))

    def confirms_due(self) -> None:
        """See Sink.confirms_due."""
        self._connection.confirms_due(self._number)

    def cancelled(self, consumer_tag: str) -> None:
        """See Sink.cancelled."""
        if self._wants_cancel():
            frame = self._connection.protocol.send(self._number, Basic.Cancel, consumer_tag, True)
            self._connection.write_afterwards(frame)


def delivered_properties(entry: Entry, always_count: bool = False) -> bytes:
    """A message's properties as its consumer gets them: a quorum queue adds x-delivery-count (docs: quorum-queues),
    from the second delivery on, or always.
    """
    if not entry.deliveries and not always_count:
        return entry.message.properties
    return wire.with_header(entry.message.properties, "x-delivery-count", entry.deliveries)

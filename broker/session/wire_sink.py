"""Turns a core channel's notifications into frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pamqp.commands import Basic

from amqp_wire.values import Long
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
        return self._connection.writable

    def deliver(self, consumer_tag: str, delivery_tag: int, entry: Entry) -> None:
        message = entry.message
        payload = deliver_payload(short_string(consumer_tag), delivery_tag, entry.redelivered,
                                  short_string(message.exchange) + short_string(message.routing_key))  # fmt: skip
        self.delivered += 1
        self.content(payload, delivered_properties(entry), message.body or b"")

    def returned(self, message: Message, error: AmqpError) -> None:
        self.content(return_payload(error, message.exchange, message.routing_key), message.properties,
                     message.body or b"")  # fmt: skip

    def content(self, payload: bytes, properties: bytes, body: bytes) -> None:
        """Send a method that carries a message."""
        self._connection.write(self._connection.protocol.send_content(self._number, payload, properties, body))

    def confirmed(self, delivery_tag: int, multiple: bool, taken: bool) -> None:
        send = self._connection.protocol.send
        if taken:
            self._connection.write(send(self._number, Basic.Ack, delivery_tag, multiple))
        else:
            self._connection.write(send(self._number, Basic.Nack, delivery_tag, multiple, False))

    def confirms_due(self) -> None:
        self._connection.confirms_due(self._number)

    def cancelled(self, consumer_tag: str) -> None:
        if self._wants_cancel():
            frame = self._connection.protocol.send(self._number, Basic.Cancel, consumer_tag, True)
            self._connection.write_afterwards(frame)


def delivered_properties(entry: Entry, always_count: bool = False) -> bytes:
    """Return a message's properties for its consumer. A quorum queue adds x-delivery-count from the second delivery on,
    or always (RabbitMQ docs: quorum-queues).
    """
    if not entry.deliveries and not always_count:
        return entry.message.properties
    return wire.with_header(entry.message.properties, "x-delivery-count", Long(entry.deliveries))

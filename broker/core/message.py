"""A message and its entry in a queue. Body and properties are the bytes that the publisher sent."""

from __future__ import annotations

from typing import Any

from amqp_wire.properties import PROPERTIES, decode, encode
from amqp_wire.table import decode_table
from amqp_wire.values import Table, Value
from broker.protocol import properties as wire


class Message:
    """A published message, shared by all queues that it was routed to.

    `properties` are the encoded flags and values of the content header. `content_id` and `copies` belong to the
    journal: the stored row, and the number of stored entries that refer to it. `body` is None while it is paged out,
    which only a `pageable` message may be: if one of its entries is stored and another is not, settling the first
    deletes the row. `blind_copies` are routing keys that consumers do not see; the message's dead letters keep them.
    """

    __slots__ = ("_headers", "blind_copies", "body", "content_id", "copies", "essentials", "exchange", "pageable",
                 "properties", "routing_key", "size")  # fmt: skip

    def __init__(self, exchange: str, routing_key: str, properties: bytes, body: bytes) -> None:
        """Parse the properties. Raises MalformedProperties."""
        self.exchange = exchange
        self.routing_key = routing_key
        self.properties = properties
        self.body: bytes | None = body
        self.size = len(body)
        self.essentials = wire.essentials(properties)
        self.content_id = 0
        self.copies = 0
        self.pageable = False
        self.blind_copies: tuple[str, ...] = ()
        self._headers: Table | None = None

    @classmethod
    def create(cls, exchange: str, routing_key: str, body: bytes, properties: dict[str, Any] | None = None) -> Message:
        """Return a message from decoded properties, named as in AMQP 0-9-1 §1.8.2. Raises TypeError, ValueError."""
        return cls(exchange, routing_key, encode(map((properties or {}).get, PROPERTIES)), body)

    @property
    def headers(self) -> Table:
        """The `headers` property, decoded; empty where there is none. Raises MalformedTable."""
        if self._headers is None:
            raw = self.essentials.headers
            self._headers = {} if raw is None else decode_table(raw)[0]
        return self._headers

    def decoded_properties(self) -> Table:
        """Return every property by name. Raises MalformedProperties."""
        return decode(self.properties)

    def routing_keys(self) -> tuple[str, ...]:
        """Return the routing key and the keys of its copies (RabbitMQ docs: sender-selected distribution)."""
        raw = self.essentials.headers
        if raw is None or b"CC" not in raw:
            return (self.routing_key, *self.blind_copies)
        return (self.routing_key, *self.visible_copies(), *self.blind_copies)

    def visible_copies(self) -> list[str]:
        """Return the keys in the CC header."""
        return _keys(self.headers.get("CC"))

    def hide_blind_copies(self) -> None:
        """Remove the BCC header, if any, from the properties. Its keys still route."""
        if b"\x03BCC" not in self.properties or "BCC" not in self.headers:
            return
        self.blind_copies = tuple(_keys(self.headers["BCC"]))
        self.properties = wire.without_header(self.properties, "BCC")
        self.essentials = wire.essentials(self.properties)
        self._headers = None

    def stored_properties(self) -> bytes:
        """Return the properties for the journal, with the blind copies."""
        if not self.blind_copies:
            return self.properties
        return wire.with_header(self.properties, "BCC", list(self.blind_copies))


def _keys(copies: Value) -> list[str]:
    return [key for key in copies if isinstance(key, str)] if isinstance(copies, list) else []


class Entry:
    """A message's entry in one queue.

    `position` orders the queue and survives a requeue. `expires_at` is in epoch seconds, None for never. `deliveries`
    counts failed deliveries (RabbitMQ docs: quorum queues, x-delivery-count). `journal_id` is its row in the journal, 0
    when it is not stored. `paged` says that the queue counts its body as paged out.
    """

    __slots__ = ("deliveries", "expires_at", "journal_id", "message", "paged", "position", "redelivered")

    def __init__(self, message: Message, position: int, expires_at: float | None) -> None:
        self.message = message
        self.position = position
        self.expires_at = expires_at
        self.redelivered = False
        self.deliveries = 0
        self.paged = False
        self.journal_id = 0

    def __lt__(self, other: Entry) -> bool:
        return self.position < other.position

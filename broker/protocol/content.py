"""Content on its way in and out: a method, its header and its body frames (AMQP 0-9-1 §4.2.6)."""

from __future__ import annotations

import struct

from amqp_wire.frames import BASIC, CONTENT
from broker.errors import AmqpError

_DELIVER = struct.pack(">HH", 60, 60)
_TAG = struct.Struct(">Q?")

# RabbitMQ's default max_message_size (docs: configure), in bytes
MAX_MESSAGE_SIZE = 134_217_728


class Assembly:
    """A basic.publish that is being received: it has its method and lacks header or body. `size` is in bytes so far."""

    __slots__ = ("_missing", "_parts", "exchange", "immediate", "mandatory", "properties", "routing_key",
                 "size")  # fmt: skip

    def __init__(self, payload: bytes) -> None:
        """Read the payload of the method frame. Raises AmqpError 501."""
        try:
            at = 7 + payload[6]
            self.exchange = payload[7:at].decode("utf-8", "surrogateescape")
            stop = at + 1 + payload[at]
            self.routing_key = payload[at + 1 : stop].decode("utf-8", "surrogateescape")
            bits = payload[stop]
        except IndexError:
            raise AmqpError(501, "arguments of Basic.Publish are malformed") from None
        self.mandatory = bool(bits & 1)
        self.immediate = bool(bits & 2)
        self.properties: bytes | None = None
        self.size = 0
        self._missing = 0
        self._parts: list[bytes] = []

    def header(self, payload: bytes) -> bool:
        """Add the content header. Return True if no body follows. Raises AmqpError 406, 501, 505."""
        if self.properties is not None:
            raise AmqpError(505, "expected content body, got non content body frame instead")
        if len(payload) < 14:
            raise AmqpError(501, "content header frame cut short")
        class_id, _, size = CONTENT.unpack_from(payload)
        if class_id != BASIC:
            raise AmqpError(505, f"expected content header for class 60, got one for class {class_id} instead")
        if size > MAX_MESSAGE_SIZE:
            raise AmqpError(406, f"message size {size} is larger than configured max size {MAX_MESSAGE_SIZE}")
        self.properties = payload[12:]
        self._missing = size
        return not size

    def body(self, payload: bytes) -> bool:
        """Add a body frame. Return True if it was the last. Raises AmqpError 501, 505."""
        if self.properties is None:
            raise AmqpError(505, "expected content header for class 60, got non content header frame instead")
        self._missing -= len(payload)
        if self._missing < 0:
            raise AmqpError(501, "content body is larger than its header says")
        self._parts.append(payload)
        self.size += len(payload)
        return not self._missing

    def content(self) -> bytes:
        """Return the whole body."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)


def deliver_payload(consumer_tag: bytes, delivery_tag: int, redelivered: bool, address: bytes) -> bytes:
    """Encode basic.deliver. `consumer_tag` is an encoded short string, `address` exchange and routing key."""
    return _DELIVER + consumer_tag + _TAG.pack(delivery_tag, redelivered) + address

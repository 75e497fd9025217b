"""Messages: conversion between a program's form and broker.core's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from broker.core.checks import check_expiration
from broker.core.message import Entry
from broker.core.message import Message as CoreMessage
from broker.errors import AmqpError
from emulators.in_process import EmulatorError

if TYPE_CHECKING:
    from emulators.channel import Channel

JSON, BYTES = "application/json", "application/data"

# Properties that the broker evaluates are sent as AMQP properties; all properties are sent unchanged in a header.
_AMQP_PROPERTIES = ("delivery_mode", "priority", "expiration")
_PROPERTIES_HEADER = "x-emulator-properties"


class Message:
    """A message to publish, or a delivered one, which is settled once by ack, reject or requeue.

    `body` is bytes, sent unchanged; a string, with a text content type; or any JSON value.
    """

    def __init__(self, body: Any = None, content_type: str = "", content_encoding: str = "",
                 headers: dict[str, Any] | None = None, properties: dict[str, Any] | None = None,
                 delivery_info: dict[str, Any] | None = None) -> None:  # fmt: skip
        self._body, self._encoded = body, isinstance(body, bytes)
        self.content_type = content_type or (BYTES if self._encoded else JSON)
        self.content_encoding = content_encoding or ("binary" if self.content_type == BYTES else "utf-8")
        self.headers, self.properties, self.delivery_info = headers or {}, properties or {}, delivery_info or {}
        self._channel: Channel | None = None

    @classmethod
    def delivered(cls, channel: Channel | None, tag: int, entry: Entry, consumer: str = "") -> Message:
        """Return the message of a delivery, to be settled on `channel` if given. It keeps the body, which the core may
        page out.
        """
        known, properties = entry.message, entry.message.decoded_properties()
        content_type, encoding = (properties.pop(name, "") for name in ("content_type", "content_encoding"))
        headers = properties.pop("headers", {})
        info = {"exchange": known.exchange, "routing_key": known.routing_key, "redelivered": entry.redelivered,
                "delivery_tag": tag, "consumer_tag": consumer}  # fmt: skip
        message = cls(
            known.body, content_type, encoding, headers, properties | headers.pop(_PROPERTIES_HEADER, {}), info
        )
        message._channel = channel
        return message

    @property
    def body(self) -> Any:
        """The body; bytes for an unknown content type. Raises EmulatorError for a malformed body."""
        if not self._encoded or not self.content_type.startswith((JSON, "text/")):
            return self._body
        try:
            text = self._body.decode(self.content_encoding)
            return json.loads(text) if self.content_type == JSON else text
        except (ValueError, LookupError) as error:
            raise EmulatorError(f"The body is not valid {self.content_type}: {error}.") from error

    def packed(self, exchange: str, routing_key: str) -> CoreMessage:
        """Return the core's message, persistent unless `properties` say otherwise. Raises EmulatorError."""
        amqp: dict[str, Any] = {"delivery_mode": 2} | {
            name: self.properties[name] for name in _AMQP_PROPERTIES if name in self.properties
        }
        try:
            if "expiration" in amqp:
                amqp["expiration"] = str(amqp["expiration"])
                check_expiration(amqp["expiration"])
            body = self._body
            if not self._encoded:
                text = json.dumps(body) if self.content_type == JSON else body
                body = text.encode(self.content_encoding)
            return CoreMessage.create(exchange, routing_key, body, {
                **amqp, "content_type": self.content_type, "content_encoding": self.content_encoding,
                "headers": self.headers | {_PROPERTIES_HEADER: self.properties},
            })  # fmt: skip
        except (AmqpError, TypeError, ValueError, LookupError, AttributeError) as error:
            raise EmulatorError(f"Cannot publish the message as {self.content_type} with {amqp}: {error}.") from error

    def ack(self) -> None:
        """Acknowledge the message. With no_ack, or after another settlement, do nothing."""
        if self._channel is not None or not self.delivery_info:
            self._settled_on().basic_ack(self.delivery_info["delivery_tag"])

    def reject(self, requeue: bool = False) -> None:
        """Requeue the message, or dead-letter or drop it."""
        self._settled_on().basic_reject(self.delivery_info["delivery_tag"], requeue)

    def requeue(self) -> None:
        self.reject(requeue=True)

    def _settled_on(self) -> Channel:
        channel, self._channel = self._channel, None
        if channel is None:
            raise EmulatorError("The message was not delivered or is already settled.")
        return channel

"""Messages, as a program has them and as broker.core does."""

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

# What the broker acts on travels as AMQP has it; all properties, just as they are, in a header.
_ACTED_ON = ("delivery_mode", "priority", "expiration")
_AS_THEY_ARE = "x-emulator-properties"


class Message:
    """What is published; and what is delivered, which is then to be acked, rejected or requeued, once.

    `body` is bytes, which go as they are; a string, for a content type of text; or whatever JSON can hold.
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
        """A message to be settled on `channel`, if that is given. It has the body, which the core may let go of."""
        known, properties = entry.message, entry.message.decoded_properties()
        content_type, encoding = (properties.pop(name, "") for name in ("content_type", "content_encoding"))
        headers = properties.pop("headers", {})
        info = {"exchange": known.exchange, "routing_key": known.routing_key, "redelivered": entry.redelivered,
                "delivery_tag": tag, "consumer_tag": consumer}  # fmt: skip
        message = cls(known.body, content_type, encoding, headers, properties | headers.pop(_AS_THEY_ARE, {}), info)
        message._channel = channel
        return message

    @property
    def body(self) -> Any:
        """The body; bytes where the content type is not known. Raises EmulatorError when it is malformed."""
        if not self._encoded or not self.content_type.startswith((JSON, "text/")):
            return self._body
        try:
            text = self._body.decode(self.content_encoding)
            return json.loads(text) if self.content_type == JSON else text
        except (ValueError, LookupError) as error:
            raise EmulatorError(f"The message says that it is {self.content_type}, but it is not: {error}.") from error

    def packed(self, exchange: str, routing_key: str) -> CoreMessage:
        """As the core takes it, persistent unless `properties` say otherwise. Raises EmulatorError."""
        acted_on = {"delivery_mode": 2} | {name: self.properties[name] for name in _ACTED_ON if name in self.properties}
        try:
            check_expiration(str(acted_on.get("expiration", 0)))
            body = self._body
            if not self._encoded:
                text = json.dumps(body) if self.content_type == JSON else body
                body = text.encode(self.content_encoding)
            return CoreMessage.create(exchange, routing_key, body, {
                **acted_on, "content_type": self.content_type, "content_encoding": self.content_encoding,
                "headers": self.headers | {_AS_THEY_ARE: self.properties},
            })  # fmt: skip
        except (AmqpError, TypeError, ValueError, LookupError, AttributeError) as error:
            raise EmulatorError(f"It cannot be published as {self.content_type} with {acted_on}: {error}.") from error

    def ack(self) -> None:
        """It is done with. Nothing happens to one that is settled already, as it is with no_ack."""
        if self._channel is not None or not self.delivery_info:
            self._settled_on().basic_ack(self.delivery_info["delivery_tag"])

    def reject(self, requeue: bool = False) -> None:
        """It goes back to its queue, or to the queue's dead letters, if there are any."""
        self._settled_on().basic_reject(self.delivery_info["delivery_tag"], requeue)

    def requeue(self) -> None:
        """It goes back to its queue."""
        self.reject(requeue=True)

    def _settled_on(self) -> Channel:
        channel, self._channel = self._channel, None
        if channel is None:
            raise EmulatorError("Only a message that was delivered, and is not settled yet, can be settled.")
        return channel

"""The body of `POST /messagePublish`. Validation refuses all values for which the broker would close the publisher's
channel, because the messages of all clients share that channel."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime
from random import getrandbits  # unique, not secret; reseeded after a fork
from typing import Annotated, Any, NamedTuple, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, WithJsonSchema, model_validator

from domain.field_table import ApplicationHeaders
from domain.message import Message, Properties
from domain.model import Model
from domain.moment import Moment
from domain.names import OpenExchangeName, OpenQueueName, RoutingKey, ShortString, not_own
from domain.queue import MAX_MILLISECONDS

MAX_BATCH = 10_000
"""Maximum number of messages in one request."""

MAX_EXCHANGES = 100
"""Maximum number of different exchanges in one request, and of different queues of its scheduled messages: each one is
looked up before its first use."""

LONGEST_DELAY = 3653 * 86_400
"""Maximum number of seconds to schedule a message ahead: ten years."""


class Payload(NamedTuple):
    """A body, and its content type unless the client gives another."""

    body: bytes
    content_type: str


class JsonText(bytes):
    """A JSON value other than a string, in the bytes that the client sent."""


def _payload(value: Any) -> Payload:
    """Return the text of a string, or the bytes of any other JSON value. Null is refused, as a probable mistake."""
    if isinstance(value, JsonText):
        return Payload(bytes(value), "application/json")
    if not isinstance(value, str):
        raise ValueError("must be a string or another JSON value except null")
    try:
        return Payload(value.encode(), "text/plain; charset=utf-8")
    except UnicodeEncodeError:
        raise ValueError(
            "must not contain an unpaired surrogate, which UTF-8 cannot encode; send bodyBase64 instead"
        ) from None


def _decoded(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("must be a Base64 string")
    try:
        return b64decode(value, validate=True)
    except ValueError:
        raise ValueError("must be valid Base64 (RFC 4648 §4, with padding)") from None


def _label(value: str) -> str:
    if not value:
        raise ValueError("must not be empty; leave it out instead")
    if not value.isprintable():  # a delivery may send it in an HTTP header
        raise ValueError("must not contain control characters")
    return value


def _reply_to(value: str) -> str:
    if value == "amq.rabbitmq.reply-to":
        raise ValueError("must name a queue: direct reply-to needs an AMQP channel of the client's own")
    return not_own(value)


def _not_too_late(value: datetime) -> datetime:
    if (value - datetime.now(UTC)).total_seconds() > LONGEST_DELAY:
        raise ValueError("must be at most ten years ahead")
    return value


def _expiration(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 11 else value


Label = Annotated[ShortString, AfterValidator(_label), Field(json_schema_extra={"minLength": 1})]
Base64 = Annotated[
    bytes, BeforeValidator(_decoded), WithJsonSchema({"type": "string", "contentEncoding": "base64"})
]  # fmt: skip
AnyJson = Annotated[
    Payload,
    PlainValidator(_payload),
    WithJsonSchema(
        {"description": "a string is sent as its text, any other JSON value (except null) as the bytes that you send"}
    ),
]


class PublishProperties(Model):
    """Basic properties (AMQP 0-9-1 §1.8.3.1). `expiration` is in milliseconds, `timestamp` in Unix seconds."""

    content_type: Label | None = None
    content_encoding: Label | None = None
    headers: ApplicationHeaders | None = None
    correlation_id: Label | None = None
    message_id: Label | None = Field(None, description="default: a random id")
    reply_to: Annotated[Label, AfterValidator(_reply_to)] | None = None
    type: Label | None = None
    app_id: Label | None = Field(None, description="default: the name of the user or API key that publishes")
    priority: int | None = Field(None, ge=0, le=255)
    expiration: Annotated[int, Field(ge=0, le=MAX_MILLISECONDS), BeforeValidator(_expiration)] | None = None
    timestamp: int | None = Field(None, ge=0, lt=2**63, description="default: the time of arrival in the queue")
    persistent: bool = True


class Publication(Model):
    """One message: either `queueName`, or `exchange` with `routingKey`; and either `message` or `bodyBase64`. With
    `deliverAt` or `delaySeconds` the message is scheduled: it arrives in its queue at that time. You cannot cancel
    it."""

    queue_name: OpenQueueName | None = Field(None, examples=["orders"])
    exchange: OpenExchangeName | None = None
    routing_key: RoutingKey | None = None
    message: AnyJson | None = Field(None, examples=["Hello, World!"])
    body_base64: Base64 | None = None
    properties: PublishProperties = PublishProperties()
    deliver_at: Annotated[Moment, AfterValidator(_not_too_late)] | None = Field(
        None, description="time of arrival, such as 2027-01-31T12:00:00Z: at most ten years ahead; if past, now"
    )
    delay_seconds: float | None = Field(None, ge=0, le=LONGEST_DELAY, description="seconds until the arrival")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        return _one_way_and_one_body(self)

    def to_message(
        self,
        correlation_id: str | None = None,
        trace: Mapping[str, str] | None = None,
        now: float | None = None,
        publisher: str | None = None,
    ) -> Message:
        """Return the message to publish; it always has a message id. `correlation_id`, the `trace` headers and the
        `publisher` of the request apply unless the client has set them on the message itself. With `now`, in Unix
        seconds, the message gets a timestamp, and is scheduled if the client asks for it."""
        given = self.properties
        due = None if now is None else self._due(now)
        published = None if now is None or due is not None else int(now)
        payload = self.message or Payload(self.body_base64 or b"", "application/octet-stream")
        headers = {**trace, **(given.headers or {})} if trace else given.headers
        return Message(
            routing_key=self.queue_name or self.routing_key or "",
            exchange=self.exchange or "",
            body=payload.body,
            properties=Properties(
                content_type=given.content_type or payload.content_type,
                content_encoding=given.content_encoding,
                headers=headers,
                delivery_mode=2 if given.persistent else 1,
                priority=given.priority,
                correlation_id=given.correlation_id or correlation_id,
                reply_to=given.reply_to,
                expiration=None if given.expiration is None else str(given.expiration),
                message_id=given.message_id or f"{getrandbits(128):032x}",
                timestamp=published if given.timestamp is None else given.timestamp,
                type=given.type,
                app_id=given.app_id or publisher,
            ),
            due=due,
        )

    @property
    def scheduled(self) -> bool:
        """Return whether the client gave a time, past or future."""
        return self.deliver_at is not None or self.delay_seconds is not None

    def _due(self, now: float) -> float | None:
        if self.delay_seconds is not None:
            return now + self.delay_seconds if self.delay_seconds else None
        due = self.deliver_at.timestamp() if self.deliver_at is not None else now
        return due if due > now else None


class PublishRequest(Publication):
    """Body of `POST /messagePublish`: one message, or `messages` without any other field."""

    messages: Annotated[tuple[Publication, ...], Field(strict=False, min_length=1, max_length=MAX_BATCH)] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.messages is None:
            return _one_way_and_one_body(self)
        if len(self.model_fields_set) > 1:
            raise ValueError("messages excludes all other fields: give each message its own queueName and properties")
        if len({message.exchange for message in self.messages}) > MAX_EXCHANGES:
            raise ValueError(f"messages must not go to more than {MAX_EXCHANGES} different exchanges")
        if len({message.queue_name for message in self.messages if message.scheduled}) > MAX_EXCHANGES:
            raise ValueError(f"scheduled messages must not go to more than {MAX_EXCHANGES} different queues")
        return self


Some = TypeVar("Some", bound=Publication)


def _one_way_and_one_body(message: Some) -> Some:
    if (message.queue_name is None) == (message.exchange is None):
        raise ValueError("give either queueName, or exchange and routingKey")
    if message.routing_key is not None and message.exchange is None:
        raise ValueError("routingKey needs exchange; leave it out if you give queueName")
    if (message.message is None) == (message.body_base64 is None):
        raise ValueError("give either message or bodyBase64")
    if message.deliver_at is not None and message.delay_seconds is not None:
        raise ValueError("give either deliverAt or delaySeconds, not both")
    return message

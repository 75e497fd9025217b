"""The body of `POST /createQueue`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from domain.field_table import Arguments, joined
from domain.model import Model
from domain.names import NewName, RoutingKey, ShortString

MAX_MILLISECONDS = 2**32 - 1
"""The longest TTL or expiry that RabbitMQ accepts (https://www.rabbitmq.com/docs/ttl)."""

MOST = 2**63 - 1
"""The largest integer of AMQP, which has 64 bits (AMQP 0-9-1 §4.2.1). RabbitMQ accepts larger values, without use."""

FIELDS = {
    "x-queue-type": "type",
    "x-message-ttl": "messageTtl",
    "x-expires": "expires",
    "x-max-length": "maxLength",
    "x-max-length-bytes": "maxLengthBytes",
    "x-overflow": "overflow",
    "x-max-priority": "maxPriority",
    "x-single-active-consumer": "singleActiveConsumer",
    "x-queue-mode": "lazy",
    "x-delivery-limit": "deliveryLimit",
    "x-dead-letter-exchange": "deadLetterExchange",
    "x-dead-letter-routing-key": "deadLetterRoutingKey",
}
"""Field names of the API by argument name."""
_SWITCHES: dict[str, Any] = {"x-queue-mode": "lazy", "x-single-active-consumer": True}
"""Arguments whose field is true or false, with the value that is true."""


class QueueSpec(Model):
    """The definition of a queue. Times are in milliseconds, as in RabbitMQ's arguments."""

    queue_name: NewName = Field(examples=["orders"])
    type: Literal["classic", "quorum"] = "classic"
    durable: bool = True
    auto_delete: bool = False
    message_ttl: int | None = Field(
        None, ge=0, le=MAX_MILLISECONDS, description="milliseconds after which a message expires"
    )
    expires: int | None = Field(
        None, gt=0, le=MAX_MILLISECONDS, description="milliseconds after which an unused queue is deleted"
    )
    max_length: int | None = Field(None, ge=0, le=MOST, description="messages")
    max_length_bytes: int | None = Field(None, ge=0, le=MOST, description="bytes of bodies")
    overflow: Literal["drop-head", "reject-publish", "reject-publish-dlx"] | None = None
    max_priority: int | None = Field(None, ge=1, le=255)
    single_active_consumer: bool = False
    lazy: bool = False
    delivery_limit: int | None = Field(
        None, ge=-1, le=MOST, description="quorum queues only; from RabbitMQ 4.0 on, -1 means no limit"
    )
    dead_letter_exchange: ShortString | None = None
    dead_letter_routing_key: RoutingKey | None = None
    arguments: Arguments = Field(default_factory=dict, description="further x-arguments, with RabbitMQ's names")

    @field_validator("type", mode="before")
    @classmethod
    def _no_stream(cls, value: Any) -> Any:
        if value == "stream":
            raise ValueError("streams are not supported: must be 'classic' or 'quorum'")
        return value

    @field_validator("arguments")
    @classmethod
    def _type_by_its_field(cls, value: dict[str, Any]) -> dict[str, Any]:
        if "x-queue-type" in value:
            raise ValueError(
                "must not contain 'x-queue-type': use the field type (classic or quorum; streams are not supported)"
            )
        return value

    @model_validator(mode="after")
    def _joined(self) -> Self:
        self.amqp_arguments()
        return self

    @classmethod
    def of(cls, name: str, kind: str, durable: bool, auto_delete: bool, arguments: Mapping[str, Any]) -> Self:
        """Return the definition of a queue that RabbitMQ describes so: each argument in its field, if that can hold the
        value. Raises ValidationError for a queue that the API cannot create."""
        fields: dict[str, Any] = {"queueName": name, "type": kind, "durable": durable, "autoDelete": auto_delete}
        given = {argument: value for argument, value in arguments.items() if argument != "x-queue-type"}
        named = {one for one, value in given.items() if one in FIELDS and _SWITCHES.get(one, value) == value}
        others = {argument: value for argument, value in given.items() if argument not in named}
        in_fields = {FIELDS[one]: one in _SWITCHES or given[one] for one in named}
        try:
            return cls.model_validate({**fields, **in_fields, "arguments": others})
        except ValidationError:
            return cls.model_validate({**fields, "arguments": given})

    def amqp_arguments(self) -> dict[str, Any]:
        """Return the x-arguments of queue.declare (https://www.rabbitmq.com/docs/queues#optional-arguments). They
        always include the type, because a virtual host may have another default
        (https://www.rabbitmq.com/docs/vhosts#default-queue-type)."""
        fields = {field.alias: getattr(self, name) for name, field in type(self).model_fields.items()}
        named = {argument: fields[field] for argument, field in FIELDS.items()}
        named |= {argument: on if named[argument] else None for argument, on in _SWITCHES.items()}
        return joined(self.arguments, named, FIELDS)

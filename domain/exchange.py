"""Request bodies about exchanges and bindings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, ValidationError, WithJsonSchema, model_validator

from domain.field_table import Arguments, joined
from domain.model import Model
from domain.names import EVENTS, NewName, OpenExchangeName, OpenQueueName, RoutingKey, ShortString, SourceExchangeName

FIELDS = {"alternate-exchange": "alternateExchange"}
"""Field names of the API by argument name (https://www.rabbitmq.com/docs/ae)."""
_TYPES = ["direct", "fanout", "topic", "headers"]


def _type(value: str) -> str:
    if value not in _TYPES and not value.startswith("x-"):
        known = ", ".join(map(repr, _TYPES))
        raise ValueError(f"must be {known}, or 'x-…' (a type of a RabbitMQ plugin)")
    return value


ExchangeType = Annotated[
    ShortString,
    AfterValidator(_type),
    WithJsonSchema({"anyOf": [{"type": "string", "enum": _TYPES}, {"type": "string", "pattern": "^x-"}]}),
]


class ExchangeSpec(Model):
    """Body of `POST /createExchange`."""

    exchange: NewName = Field(examples=["events"])
    type: ExchangeType = Field("direct", description="direct, fanout, topic, headers, or a plugin's x-… type")
    durable: bool = True
    auto_delete: bool = Field(False, description="delete the exchange when its last binding is removed")
    internal: bool = Field(False, description="clients cannot publish to it, only other exchanges")
    alternate_exchange: ShortString | None = Field(None, description="exchange that gets unroutable messages")
    arguments: Arguments = Field(default_factory=dict, description="further arguments of the declaration")

    @model_validator(mode="after")
    def _joined(self) -> Self:
        self.amqp_arguments()
        return self

    @classmethod
    def of(
        cls, name: str, kind: str, durable: bool, auto_delete: bool, internal: bool, arguments: Mapping[str, Any]
    ) -> Self:
        """Return the definition of an exchange that RabbitMQ describes so. Raises ValidationError for an exchange that
        the API cannot create."""
        fields: dict[str, Any] = {
            "exchange": name, "type": kind, "durable": durable, "autoDelete": auto_delete, "internal": internal,
        }  # fmt: skip
        in_fields = {FIELDS[one]: value for one, value in arguments.items() if one in FIELDS}
        others = {argument: value for argument, value in arguments.items() if argument not in FIELDS}
        try:
            return cls.model_validate({**fields, **in_fields, "arguments": others})
        except ValidationError:
            return cls.model_validate({**fields, "arguments": dict(arguments)})

    def amqp_arguments(self) -> dict[str, Any]:
        """Return the arguments of exchange.declare."""
        return joined(self.arguments, {"alternate-exchange": self.alternate_exchange or None}, FIELDS)


EVENTS_EXCHANGE = ExchangeSpec.model_construct(exchange=EVENTS, type="topic")
"""The exchange of the service's own events. Its name is valid for the service only."""


class BindingSpec(Model):
    """A binding from `exchange` to a queue or to another exchange."""

    exchange: SourceExchangeName = Field(examples=["events"])
    queue_name: OpenQueueName | None = Field(None, examples=["orders"])
    destination_exchange: OpenExchangeName | None = None
    routing_key: ShortString = ""
    arguments: Arguments = Field(
        default_factory=dict, description="headers that a headers exchange matches, and x-match"
    )

    @model_validator(mode="after")
    def _one_destination(self) -> Self:
        if (self.queue_name is None) == (self.destination_exchange is None):
            raise ValueError("give either queueName or destinationExchange")
        return self

    @property
    def destination(self) -> str:
        """The name of the queue or exchange that gets the messages."""
        return self.queue_name or self.destination_exchange or ""


class NewBinding(BindingSpec):
    """Body of `POST /bindQueue`. BindingSpec accepts any routing key, so that every existing binding can be removed."""

    routing_key: RoutingKey = ""

"""Exchanges and bindings as a client asks for them."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from domain.field_table import Arguments, joined
from domain.model import Model
from domain.names import NewName, OpenExchangeName, OpenQueueName, RoutingKey, ShortString

FIELDS = {"alternate-exchange": "alternateExchange"}
"""By RabbitMQ's name of the argument (https://www.rabbitmq.com/docs/ae)."""
_TYPES = ["direct", "fanout", "topic", "headers"]


def _type(value: str) -> str:
    if value not in _TYPES and not value.startswith("x-"):
        known = ", ".join(map(repr, _TYPES))
        raise ValueError(f"must be {known}, or 'x-…', one of a plugin of RabbitMQ")
    return value


ExchangeType = Annotated[
    ShortString,
    AfterValidator(_type),
    WithJsonSchema({"anyOf": [{"type": "string", "enum": _TYPES}, {"type": "string", "pattern": "^x-"}]}),
]


class ExchangeSpec(Model):
    """What `POST /createExchange` declares."""

    exchange: NewName = Field(examples=["events"])
    type: ExchangeType = Field("direct", description="direct, fanout, topic, headers, or x-… of a plugin of RabbitMQ")
    durable: bool = True
    auto_delete: bool = Field(False, description="deleted when its last binding goes")
    internal: bool = Field(False, description="only other exchanges can publish to it")
    alternate_exchange: ShortString | None = Field(None, description="gets what has no queue here")
    arguments: Arguments = Field(default_factory=dict, description="any further arguments")

    @model_validator(mode="after")
    def _joined(self) -> Self:
        self.amqp_arguments()
        return self

    def amqp_arguments(self) -> dict[str, Any]:
        """The arguments of exchange.declare."""
        return joined(self.arguments, {"alternate-exchange": self.alternate_exchange or None}, FIELDS)


class BindingSpec(Model):
    """A binding: messages of `exchange` also go to a queue, or to another exchange."""

    exchange: OpenExchangeName = Field(examples=["events"])
    queue_name: OpenQueueName | None = Field(None, examples=["orders"])
    destination_exchange: OpenExchangeName | None = None
    routing_key: ShortString = ""
    arguments: Arguments = Field(default_factory=dict, description="what a headers exchange matches, x-match too")

    @model_validator(mode="after")
    def _one_destination(self) -> Self:
        if (self.queue_name is None) == (self.destination_exchange is None):
            raise ValueError("needs either queueName or destinationExchange")
        return self

    @property
    def destination(self) -> str:
        """The name of the queue or exchange that gets the messages."""
        return self.queue_name or self.destination_exchange or ""


class NewBinding(BindingSpec):
    """What `POST /bindQueue` makes. One that exists, whatever its routing key, can be removed as a BindingSpec."""

    routing_key: RoutingKey = ""

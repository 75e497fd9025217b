"""A queue as a client asks for it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from domain.field_table import Arguments
from domain.model import Model
from domain.names import NewName, ShortString

MAX_MILLISECONDS = 2**32 - 1
"""The longest TTL or expiry that RabbitMQ takes (https://www.rabbitmq.com/docs/ttl)."""


class QueueSpec(Model):
    """What `POST /createQueue` declares. Times are in milliseconds, as in RabbitMQ's own arguments."""

    queue_name: NewName = Field(examples=["orders"])
    type: Literal["classic", "quorum"] = "classic"
    durable: bool = True
    auto_delete: bool = False
    message_ttl: int | None = Field(None, ge=0, le=MAX_MILLISECONDS, description="milliseconds a message may wait")
    expires: int | None = Field(None, gt=0, le=MAX_MILLISECONDS, description="milliseconds unused before deletion")
    max_length: int | None = Field(None, ge=0, description="messages")
    max_length_bytes: int | None = Field(None, ge=0, description="bytes of bodies")
    overflow: Literal["drop-head", "reject-publish", "reject-publish-dlx"] | None = None
    max_priority: int | None = Field(None, ge=1, le=255)
    single_active_consumer: bool = False
    lazy: bool = False
    delivery_limit: int | None = Field(None, ge=0, description="quorum queues only")
    dead_letter_exchange: ShortString | None = None
    dead_letter_routing_key: ShortString | None = None
    arguments: Arguments = Field(default_factory=dict, description="any further x-arguments, as RabbitMQ names them")

    @field_validator("arguments")
    @classmethod
    def _type_by_its_field(cls, value: dict[str, Any]) -> dict[str, Any]:
        if "x-queue-type" in value:
            raise ValueError("'x-queue-type' is the field type: classic or quorum; streams are not supported")
        return value

    def amqp_arguments(self) -> dict[str, Any]:
        """The x-arguments of queue.declare (https://www.rabbitmq.com/docs/queues#optional-arguments)."""
        named = {
            "x-queue-type": self.type if self.type != "classic" else None,
            "x-message-ttl": self.message_ttl,
            "x-expires": self.expires,
            "x-max-length": self.max_length,
            "x-max-length-bytes": self.max_length_bytes,
            "x-overflow": self.overflow,
            "x-max-priority": self.max_priority,
            "x-single-active-consumer": True if self.single_active_consumer else None,
            "x-queue-mode": "lazy" if self.lazy else None,
            "x-delivery-limit": self.delivery_limit,
            "x-dead-letter-exchange": self.dead_letter_exchange,
            "x-dead-letter-routing-key": self.dead_letter_routing_key,
        }
        return {**self.arguments, **{key: value for key, value in named.items() if value is not None}}

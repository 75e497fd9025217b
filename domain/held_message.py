"""A message that waits in a queue, as a client sees it: in the form in which it could be published again."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from domain.model import Model
from domain.names import QueueName

AckMode = Literal["peek", "take", "reject"]

MAX_COUNT = 500


class HeldMessage(Model):
    """`message` is the body where it is UTF-8, `bodyBase64` where it is not. `bytes` is the size of the whole body, of
    which a peek may show only the beginning (`truncated`). `properties` are those of `POST /messagePublish`."""

    exchange: str
    routing_key: str
    redelivered: bool
    message: str | None
    body_base64: str | None
    bytes: int
    truncated: bool
    properties: dict[str, Any]


class GetMessages(Model):
    """What `POST /getMessages` takes."""

    queue_name: QueueName = Field(examples=["orders.dead"])
    count: int = Field(10, ge=1, le=MAX_COUNT, description="at most so many messages, from the head of the queue")
    ack_mode: AckMode = Field(
        "peek", description="peek: they go back to their place; take: they are removed; reject: they are dead-lettered"
    )
    truncate_bytes: int = Field(65_536, ge=0, le=1_000_000, description="of a body, in a peek")

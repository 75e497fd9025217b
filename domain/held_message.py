"""A message in a queue, as `POST /getMessages` returns it: in the form that `POST /messagePublish` accepts."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from domain.dead_letter import MAX_EXAMINED
from domain.model import Model
from domain.names import QueueName
from domain.replay import EVERY, DeadLetterFilter

AckMode = Literal["peek", "take", "reject"]

MAX_COUNT = 500


class HeldMessage(Model):
    """`message` is the body if it is UTF-8, else `bodyBase64` is. `bytes` is the size of the whole body; a peek may
    show only its beginning (`truncated`). `properties` are those of `POST /messagePublish`."""

    exchange: str
    routing_key: str
    redelivered: bool
    message: str | None
    body_base64: str | None
    bytes: int
    truncated: bool
    properties: dict[str, Any]


class GetMessages(Model):
    """Body of `POST /getMessages`."""

    queue_name: QueueName = Field(examples=["orders.dlq"])
    count: int = Field(10, ge=1, le=MAX_COUNT, description="maximum number of messages, from the head of the queue")
    ack_mode: AckMode = Field(
        "peek",
        description="peek: the messages stay in the queue; take: remove them; reject: dead-letter them, to "
        "`<queue>.dlq` if the queue has no dead-letter exchange",
    )
    filter: DeadLetterFilter = Field(EVERY, description=f"only these, of the first {MAX_EXAMINED} in the queue")
    truncate_bytes: int = Field(65_536, ge=0, le=1_000_000, description="maximum bytes of each body in a peek")

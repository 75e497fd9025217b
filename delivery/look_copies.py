"""The copy that takes a message's place when a look at it would use up its queue's delivery limit.

RabbitMQ counts in `x-delivery-count` how often a quorum queue has had a message back, and drops or dead-letters it when
that is more than the limit (https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling).
"""

from __future__ import annotations

from delivery.copies import COUNTING_HEADERS, LOOK_EXCHANGE, Source, returned_copy, times_returned
from domain.message import Message, Properties
from domain.names import MAX_BYTES

MARGIN = 2
"""Returns that are left to a message after a look, because the process may die while it looks."""

_ROUTING_HEADERS = ("CC", "BCC")
"""RabbitMQ routes by these, so that a copy by the default exchange would reach other queues, too."""


def wears_out(source: Source, limit: int | None) -> bool:
    """Whether one more return brings the message closer than MARGIN to the delivery limit of its queue."""
    return limit is not None and times_returned(source.properties.headers) + 1 > limit - MARGIN


def needs_exchange(source: Source) -> bool:
    """Whether the default exchange would not bring a copy to its queue with the same routing key, and only there."""
    headers = source.properties.headers or {}
    return (source.exchange, source.routing_key) != ("", source.queue) or any(
        key in headers for key in _ROUTING_HEADERS
    )


def look_exchange(unique: str, exchange: str) -> str:
    """The name of a fanout exchange for such copies, which tells the exchange that the messages came by, if it fits."""
    name = f"{LOOK_EXCHANGE}{unique}.{exchange}"
    return name if len(name.encode()) <= MAX_BYTES else f"{LOOK_EXCHANGE}{unique}."


def look_copy(source: Source, exchange: str, own_user: str) -> Message:
    """The message as it is, without the broker's own counts. One with the user id of another user than `own_user` is
    refused by RabbitMQ, so its user id is set aside for consumers to find."""
    properties = source.properties
    if properties.user_id is not None and properties.user_id != own_user:
        return returned_copy(source)
    fields = {name: getattr(properties, name) for name in Properties.__slots__}
    headers = {name: value for name, value in (properties.headers or {}).items() if name not in COUNTING_HEADERS}
    return Message(source.routing_key, source.body, exchange, Properties(**{**fields, "headers": headers or None}))

"""The copy that takes a message's place when a look at it would use up its queue's delivery limit."""

from __future__ import annotations

from delivery.copies import LOOK_EXCHANGE, Source, returned_copy
from delivery.delivery_limit import COUNTING_HEADERS
from domain.message import Message, Properties
from domain.names import MAX_BYTES

_ROUTING_HEADERS = ("CC", "BCC")
"""RabbitMQ routes by these, so that a copy by the default exchange would reach other queues, too."""


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

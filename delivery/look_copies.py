"""Builds the copy that replaces a message when a look would use up the delivery limit of its queue."""

from __future__ import annotations

from delivery.copies import LOOK_EXCHANGE, Source, returned_copy
from delivery.delivery_limit import COUNTING_HEADERS
from domain.message import Message, Properties
from domain.names import MAX_BYTES

_ROUTING_HEADERS = ("CC", "BCC")
"""RabbitMQ routes by these headers, so a copy through the default exchange would also reach other queues."""


def needs_exchange(source: Source) -> bool:
    """Return whether the default exchange cannot route a copy with the same routing key to its queue, and only
    there."""
    headers = source.properties.headers or {}
    return (source.exchange, source.routing_key) != ("", source.queue) or any(
        key in headers for key in _ROUTING_HEADERS
    )


def look_exchange(unique: str, exchange: str) -> str:
    """Return the name of a fanout exchange for such copies. It contains `exchange`, the messages' own, if that fits."""
    name = f"{LOOK_EXCHANGE}{unique}.{exchange}"
    return name if len(name.encode()) <= MAX_BYTES else f"{LOOK_EXCHANGE}{unique}."


def look_copy(source: Source, exchange: str, own_user: str) -> Message:
    """Return the message without RabbitMQ's delivery counts. RabbitMQ refuses the user id of any user except
    `own_user`, so the copy keeps such a user id in a header, where consumers find it."""
    properties = source.properties
    if properties.user_id is not None and properties.user_id != own_user:
        return returned_copy(source)
    fields = {name: getattr(properties, name) for name in Properties.__slots__}
    headers = {name: value for name, value in (properties.headers or {}).items() if name not in COUNTING_HEADERS}
    return Message(source.routing_key, source.body, exchange, Properties(**{**fields, "headers": headers or None}))

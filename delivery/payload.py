"""The envelope: a message as one JSON object, with all that AMQP said of it. For targets that see bodies only."""

from __future__ import annotations

from typing import Any

import orjson

from delivery.copies import Source, original
from delivery.header_values import json_value, text_or_base64
from domain.message import Properties, PropertiesView

_PROPERTIES = {
    "content_type": "contentType",
    "content_encoding": "contentEncoding",
    "delivery_mode": "deliveryMode",
    "priority": "priority",
    "correlation_id": "correlationId",
    "reply_to": "replyTo",
    "expiration": "expiration",
    "message_id": "messageId",
    "timestamp": "timestamp",
    "type": "type",
    "user_id": "userId",
    "app_id": "appId",
}
"""Basic properties (AMQP 0-9-1 §1.8.3.1) and their names in JSON; those that are not set are left out."""


def named_properties(properties: PropertiesView | Properties) -> dict[str, Any]:
    """The properties that are set, by their names in JSON and without `headers`."""
    named = {name: getattr(properties, field) for field, name in _PROPERTIES.items()}
    return {name: json_value(value) for name, value in named.items() if value is not None}


def described(source: Source, attempt: int) -> dict[str, Any]:
    """What AMQP says of a message, as the publisher sent it, also of one that came back from the delay levels:
    `messageId`, `queue`, `exchange`, `routingKey`, `attempt`, `properties`, `headers`.

    Headers keep JSON's types; decimals are strings, times ISO 8601 in UTC, and bytes that are no UTF-8 are
    `{"base64": "…"}`.
    """
    exchange, routing_key, properties = original(source.exchange, source.routing_key, source.properties)
    return {
        "messageId": json_value(source.message_id),
        "queue": source.queue,
        "exchange": json_value(exchange),
        "routingKey": json_value(routing_key),
        "attempt": attempt,
        "properties": named_properties(properties),
        "headers": json_value(properties.headers or {}),
    }


def envelope(source: Source, attempt: int) -> bytes:
    """What `described` says, with `bodyEncoding` (`text` when the body is UTF-8, else `base64`) and `body`."""
    encoding, body = text_or_base64(source.body)
    return orjson.dumps(described(source, attempt) | {"bodyEncoding": encoding, "body": body})

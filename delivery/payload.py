"""The envelope: a message with its properties and headers as one JSON object, for targets that read only bodies."""

from __future__ import annotations

from typing import Any

import orjson

from delivery.copies import Source, original
from delivery.header_values import json_value, text_or_base64
from domain.message import PropertiesView

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
"""Basic properties (AMQP 0-9-1 §1.8.3.1) and their names in JSON. Properties that are not set are left out."""


def named_properties(properties: PropertiesView) -> dict[str, Any]:
    """Return the properties that are set, by their names in JSON, without `headers`."""
    named = {name: getattr(properties, field) for field, name in _PROPERTIES.items()}
    return {name: json_value(value) for name, value in named.items() if value is not None}


def described(source: Source, attempt: int) -> dict[str, Any]:
    """Return all of a message except its body: `messageId`, `queue`, `exchange`, `routingKey`, `attempt`, `properties`
    and `headers`. The values are the publisher's, even if the message came back from the delay levels.

    Headers keep JSON's types; decimals are strings, times are ISO 8601 in UTC, and bytes that are not UTF-8 are
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
    """Return as JSON what `described` returns, with `body`, and `bodyEncoding`, which is `text` if the body is UTF-8,
    else `base64`."""
    encoding, body = text_or_base64(source.body)
    return orjson.dumps(described(source, attempt) | {"bodyEncoding": encoding, "body": body})

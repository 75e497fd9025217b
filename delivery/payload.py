"""The envelope: a message with its properties and headers as one JSON object, for targets that read only bodies."""

from __future__ import annotations

import orjson

from delivery.copies import Source, original
from delivery.header_values import json_value, text_or_base64

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


def envelope(source: Source, attempt: int) -> bytes:
    """Return the JSON object, with `messageId`, `queue`, `exchange`, `routingKey`, `attempt`, `properties`, `headers`,
    `bodyEncoding` and `body`. The values are the publisher's, even if the message came back from the delay levels.

    `bodyEncoding` is `text` if the body is UTF-8, else `base64`. Headers keep JSON's types; decimals are strings,
    times are ISO 8601 in UTC, and bytes that are not UTF-8 are `{"base64": "…"}`.
    """
    exchange, routing_key, properties = original(source.exchange, source.routing_key, source.properties)
    encoding, body = text_or_base64(source.body)
    named = {name: getattr(properties, field) for field, name in _PROPERTIES.items()}
    return orjson.dumps(
        {
            "messageId": json_value(source.message_id),
            "queue": source.queue,
            "exchange": json_value(exchange),
            "routingKey": json_value(routing_key),
            "attempt": attempt,
            "properties": {name: json_value(value) for name, value in named.items() if value is not None},
            "headers": json_value(properties.headers or {}),
            "bodyEncoding": encoding,
            "body": body,
        }
    )

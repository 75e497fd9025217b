"""The envelope: a message as one JSON object, with all that AMQP said of it. For targets that see bodies only."""

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
"""Basic properties (AMQP 0-9-1 §1.8.3.1) and their names in JSON; those that are not set are left out."""


def envelope(source: Source, attempt: int) -> bytes:
    """`messageId`, `queue`, `exchange`, `routingKey`, `attempt`, `properties`, `headers`, `bodyEncoding`, `body`: all
    as the publisher sent it, also of a message that came back from the delay levels.

    `bodyEncoding` is `text` when the body is UTF-8, else `base64`. Headers keep JSON's types; decimals are strings,
    times ISO 8601 in UTC, and bytes that are no UTF-8 are `{"base64": "…"}`.
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

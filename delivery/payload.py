"""The envelope: a message as one JSON object, with all that AMQP said of it. For targets that see bodies only."""

from __future__ import annotations

import math
from base64 import b64encode
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson

from delivery.copies import Source, original
from delivery.header_values import iso_time

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
    encoding, body = _body(source.body)
    named = {name: getattr(properties, field) for field, name in _PROPERTIES.items()}
    return orjson.dumps(
        {
            "messageId": _json(source.message_id),
            "queue": source.queue,
            "exchange": _json(exchange),
            "routingKey": _json(routing_key),
            "attempt": attempt,
            "properties": {name: _json(value) for name, value in named.items() if value is not None},
            "headers": _json(properties.headers or {}),
            "bodyEncoding": encoding,
            "body": body,
        }
    )


def _body(body: bytes) -> tuple[str, str]:
    try:
        return "text", body.decode()
    except UnicodeDecodeError:
        return "base64", b64encode(body).decode()


def _json(value: Any) -> Any:
    """What JSON makes of a value of a field table (AMQP 0-9-1 §4.2.5.5)."""
    if isinstance(value, dict):
        return {str(name): _json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, bytes | bytearray):
        encoding, text = _body(bytes(value))
        return text if encoding == "text" else {"base64": text}
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, datetime):
        return iso_time(value)
    return str(value) if isinstance(value, Decimal) else value

"""Converts values of AMQP field tables to text, JSON and HTTP header values."""

from __future__ import annotations

import math
from base64 import b64encode
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import orjson


def field_value(value: str | bytes) -> str:
    """Return a field value (RFC 9110 §5.5). Characters other than printable ASCII are percent-encoded, so that no value
    can forge a header, and so are spaces at the ends, which a receiver would remove.

    pika returns bytes for a text that is not UTF-8.
    """
    if isinstance(value, str) and value.isascii() and value.isprintable() and value == value.strip():
        return value
    safe = "!#$&'()*+,/:;=?@[]\"<>{}|^`~"
    return quote(value, safe=safe + " " if value == value.strip() else safe)


def identifier(value: str | bytes) -> str:
    """Return an id or a name as a field value. Different values have different results, because `%` is percent-encoded,
    too."""
    text = field_value(value)
    return text.replace("%", "%25") if text == value else text


def text_of(value: Any) -> str | bytes | None:
    """Return a single value of a field table (AMQP 0-9-1 §4.2.5.5) as text; None for tables, arrays and null.

    Booleans are `true` or `false`, times are ISO 8601 in UTC, as in JSON.
    """
    if isinstance(value, str | bytes):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return str(value)
    return iso_time(value) if isinstance(value, datetime) else None


def iso_time(moment: datetime) -> str:
    """Return a time as `2026-11-22T13:00:00Z` (RFC 3339). A time without a zone, as in AMQP, is UTC."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat() + "Z"


def json_value(value: Any) -> Any:
    """Return a value of a field table (AMQP 0-9-1 §4.2.5.5) as JSON: decimals are strings, times are ISO 8601 in UTC,
    and bytes that are not UTF-8 are `{"base64": "…"}`."""
    if isinstance(value, dict):
        return {str(name): json_value(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    if isinstance(value, bytes | bytearray):
        encoding, text = text_or_base64(bytes(value))
        return text if encoding == "text" else {"base64": text}
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, datetime):
        return iso_time(value)
    return str(value) if isinstance(value, Decimal) else value


def is_json(body: bytes) -> bool:
    """Return whether a body is JSON in UTF-8 (RFC 8259)."""
    try:
        orjson.loads(body)
    except ValueError:
        return False
    return True


def text_or_base64(body: bytes) -> tuple[str, str]:
    """Return `text` and the decoded body if it is UTF-8, else `base64` and the body in Base64."""
    try:
        return "text", body.decode()
    except UnicodeDecodeError:
        return "base64", b64encode(body).decode()

"""Values on their way from AMQP into HTTP: what of a field table is text, and how text fits into a header."""

from __future__ import annotations

import math
from base64 import b64encode
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote


def field_value(value: str | bytes) -> str:
    """A field value (RFC 9110 §5.5): what is not printable ASCII is percent-encoded, so that no header is forged, and
    so is space at its ends, which a receiver would drop.

    Bytes are what a driver makes of text that is not UTF-8.
    """
    if isinstance(value, str) and value.isascii() and value.isprintable() and value == value.strip():
        return value
    safe = "!#$&'()*+,/:;=?@[]\"<>{}|^`~"
    return quote(value, safe=safe + " " if value == value.strip() else safe)


def text_of(value: Any) -> str | bytes | None:
    """A single value of a field table (AMQP 0-9-1 §4.2.5.5) as text; None for tables, arrays and no value at all.

    Truth is `true` or `false`, times are ISO 8601 in UTC, as they are in JSON.
    """
    if isinstance(value, str | bytes):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return str(value)
    return iso_time(value) if isinstance(value, datetime) else None


def iso_time(moment: datetime) -> str:
    """`2026-11-22T13:00:00Z` (RFC 3339). A time without a zone is UTC: AMQP's have none."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat() + "Z"


def json_value(value: Any) -> Any:
    """What JSON makes of a value of a field table (AMQP 0-9-1 §4.2.5.5): decimals are strings, times ISO 8601 in UTC,
    and bytes that are no UTF-8 are `{"base64": "…"}`."""
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


def text_or_base64(body: bytes) -> tuple[str, str]:
    """`text` and the body where it is UTF-8, else `base64` and the body in Base64."""
    try:
        return "text", body.decode()
    except UnicodeDecodeError:
        return "base64", b64encode(body).decode()

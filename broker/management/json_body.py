"""JSON request bodies: refuses values that an AMQP table cannot hold, so that no later step fails half-way."""

from __future__ import annotations

import json
import math
from typing import Any

from amqp_wire.values import Long
from broker.management.errors import BadRequest

_MAX_DEPTH = 32

# Field name → type; other fields are not checked.
Shape = dict[str, type]


def read_json(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body, with integers as RabbitMQ's management API sends them on: `long`. Raises
    BadRequest, also for values that AMQP cannot encode."""
    try:
        content = json.loads(body, parse_int=Long)
    except (ValueError, RecursionError):
        raise BadRequest("not_json") from None
    if not isinstance(content, dict):
        raise BadRequest("not_json")
    _check(content, 0)
    return content


def _check(value: Any, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise BadRequest("nested_too_deeply")
    if isinstance(value, dict):
        for name, inner in value.items():
            _check(name, depth)
            _check(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, depth + 1)
    elif isinstance(value, str):
        _check_text(value)
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**63:  # AMQP 0-9-1 errata: the largest integer is signed and has 64 bits
            raise BadRequest("integer_too_large")
    elif isinstance(value, float) and not math.isfinite(value):
        raise BadRequest("number_not_finite")


def _check_text(text: str) -> None:
    """Raise BadRequest for text that is not UTF-8. Lone low surrogates are allowed: they stand for names that are not
    UTF-8 (PEP 383).
    """
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise BadRequest("text_not_utf8") from None


def objects(document: dict[str, Any], kind: str, required: Shape, optional: Shape) -> list[dict[str, Any]]:
    """Return the list of objects that `document` has under `kind`, [] without it. Raises BadRequest for other
    shapes.
    """
    items = document.get(kind, [])
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise BadRequest(["not_list_of_objects", kind])
    for item in items:
        for name in required:
            if name not in item:
                raise BadRequest(["key_missing", kind, name])
        for name, expected in (required | optional).items():
            if name in item and not isinstance(item[name], expected):
                raise BadRequest([f"not_{expected.__name__}", kind, name])
    return items

"""AMQP field tables that a client may send: the headers of a message, and the arguments of a queue or exchange."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator

from domain.names import not_own

MAX_BYTES = 16 * 1024
"""Limit of all headers as JSON. Headers and properties must fit into one frame, because a content header is not split
(AMQP 0-9-1 §4.2.6); RabbitMQ's default is 128 KiB. Two characters of JSON take at most nine bytes in a table."""

_RESERVED = {
    "cc": "RabbitMQ routes by it; publish once to each queue instead",
    "bcc": "RabbitMQ routes by it; publish once to each queue instead",
    "x-death": "RabbitMQ sets it when it dead-letters a message",
}

_NAMES = frozenset({"x-dead-letter-exchange", "x-dead-letter-routing-key", "alternate-exchange"})
"""Arguments that name an exchange or a routing key for messages."""


def _headers(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        if name.lower().startswith("workerrmq-"):
            raise ValueError(f"{name!r} cannot be set: the service reserves headers that start with 'workerrmq-'")
        if reason := _RESERVED.get(name.lower()):
            raise ValueError(f"{name!r} cannot be set: {reason}")
    try:
        _check(value)
    except UnicodeEncodeError:
        raise ValueError("must not contain an unpaired surrogate, which UTF-8 cannot encode") from None
    if len(orjson.dumps(value)) > MAX_BYTES:
        raise ValueError(f"must be at most {MAX_BYTES} bytes as JSON; put large values into the message body")
    return value


def _check(value: Any, depth: int = 0) -> None:
    """Raises ValueError for a value that no field table can hold (AMQP 0-9-1 §4.2.5.5)."""
    if depth > 8:
        raise ValueError("must not be nested more than 8 levels deep")
    if isinstance(value, dict):
        for name, item in value.items():
            if not 0 < len(name.encode()) <= 128:
                raise ValueError("each name in it must have 1 to 128 bytes")
            _check(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1)
    elif isinstance(value, str):
        value.encode()
    elif isinstance(value, float) and not isfinite(value):
        raise ValueError("a number is too large; send it as a string")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"{value} does not fit into 64 bits; send it as a string")


def _arguments(value: dict[str, Any]) -> dict[str, Any]:
    _check(value)
    for name, item in value.items():
        if item is None:
            raise ValueError(f"{name!r} must not be null; leave it out")
        if _holds_null(item):
            raise ValueError(f"{name!r} must not contain null: RabbitMQ refuses null in arguments")
    return value


def _holds_null(value: Any) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(item is None or _holds_null(item) for item in inner)


def joined(arguments: Mapping[str, Any], named: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """Return `arguments` together with `named`, the arguments that have separate fields (None: not given).

    `fields` maps an argument's name to its field. Raises ValueError if an argument is given both ways, or names a queue
    or exchange that the service reserves for itself.
    """
    given = {name: value for name, value in named.items() if value is not None}
    if twice := [name for name in given if name in arguments]:
        raise ValueError(
            f"{fields[twice[0]]} is given twice: as a field, and in arguments as {twice[0]!r}. Give it once."
        )
    for name in _NAMES.intersection(both := {**arguments, **given}):
        try:
            not_own(str(both[name]))
        except ValueError as exc:
            raise ValueError(f"{fields.get(name, name)} {exc}") from None
    return both


ApplicationHeaders = Annotated[dict[str, Any], AfterValidator(_headers)]
"""Headers of a message, without those that the broker or the service acts on."""

Arguments = Annotated[dict[str, Any], AfterValidator(_arguments)]
"""Arguments of a declaration or binding. The broker refuses those that it does not know."""

"""Field tables of AMQP that a client may send: the headers of a message, and the arguments of a queue or exchange."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator

from domain.names import not_own

MAX_BYTES = 16 * 1024
"""Of all headers as JSON. They and the properties must fit into one frame (AMQP 0-9-1 §4.2.6: a content header is not
split), 128 KiB by RabbitMQ's default; nine bytes in a table is the most that two characters of JSON become."""

_RESERVED = {
    "cc": "RabbitMQ would route by it; publish once to each queue",
    "bcc": "RabbitMQ would route by it; publish once to each queue",
    "x-death": "RabbitMQ writes it when a message is dead-lettered",
}

_NAMES = frozenset({"x-dead-letter-exchange", "x-dead-letter-routing-key", "alternate-exchange"})
"""Arguments that say where messages go."""


def _headers(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        if name.lower().startswith("workerrmq-"):
            raise ValueError(f"{name!r} cannot be set: the service keeps the history of deliveries in such headers")
        if reason := _RESERVED.get(name.lower()):
            raise ValueError(f"{name!r} cannot be set: {reason}")
    try:
        _check(value)
    except UnicodeEncodeError:
        raise ValueError("must not hold half of a surrogate pair, which has no UTF-8") from None
    if len(orjson.dumps(value)) > MAX_BYTES:
        raise ValueError(f"must be at most {MAX_BYTES} bytes as JSON; put the rest into the message")
    return value


def _check(value: Any, depth: int = 0) -> None:
    """What a field table can hold (AMQP 0-9-1 §4.2.5.5)."""
    if depth > 8:
        raise ValueError("must be nested at most 8 deep")
    if isinstance(value, dict):
        for name, item in value.items():
            if not 0 < len(name.encode()) <= 128:
                raise ValueError("every name in it must have 1 to 128 bytes")
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
            raise ValueError(f"{name!r} must not hold a null: RabbitMQ takes none in arguments")
    return value


def _holds_null(value: Any) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(item is None or _holds_null(item) for item in inner)


def joined(arguments: Mapping[str, Any], named: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """The arguments, and those that were given by fields of their own (`named`; None is not given). Raises ValueError
    when one was given both ways, and when one leads to a queue or exchange of the service's own; `fields` has the
    fields' names by those of the arguments."""
    given = {name: value for name, value in named.items() if value is not None}
    if twice := [name for name in given if name in arguments]:
        raise ValueError(f"{fields[twice[0]]} is given twice: in arguments it is called {twice[0]!r}. Give it once.")
    for name in _NAMES.intersection(both := {**arguments, **given}):
        try:
            not_own(str(both[name]))
        except ValueError as exc:
            raise ValueError(f"{fields.get(name, name)} {exc}") from None
    return both


ApplicationHeaders = Annotated[dict[str, Any], AfterValidator(_headers)]
"""Headers that no broker acts upon."""

Arguments = Annotated[dict[str, Any], AfterValidator(_arguments)]
"""Arguments of a declaration or binding; the broker says whether it knows them."""

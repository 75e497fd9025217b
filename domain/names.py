"""Names in AMQP: what a queue, exchange or routing key may be called, and which names are the service's own."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

MAX_BYTES = 255  # AMQP 0-9-1 §4.2.5.3: a short string has one octet for its length

OWN = "workerrmq."
"""Prefix of the queues and exchanges that the service keeps for itself (gateway/amqp/topology.py)."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""C0, C1, line separators, and what changes the direction of text (Unicode, UAX #9)."""


def printable(value: str) -> str:
    """Return the value. Raises ValueError when it holds a character that a terminal acts upon instead of showing it."""
    if _CONTROL.search(value):
        raise ValueError("must not contain control characters, or characters that change the direction of text")
    return value


def not_own(value: str) -> str:
    """Return the value. Raises ValueError when it is a name of the service's own."""
    if value.startswith(OWN):
        raise ValueError(f"must not start with {OWN!r}: those queues and exchanges are the service's own")
    return value


def _fits(value: str) -> str:
    if len(value.encode()) > MAX_BYTES:
        raise ValueError(f"must be at most {MAX_BYTES} bytes in UTF-8; this is {len(value.encode())}")
    if "\x00" in value:
        raise ValueError("must not contain a NUL character")
    return value


def _queue_name(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    if "\n" in value or "\r" in value:
        raise ValueError("must not contain line breaks: RabbitMQ drops them, and means another name then")
    return _fits(value)


def _exchange_name(value: str) -> str:
    if not value:
        raise ValueError("must not be empty: the default exchange is meant by queueName, and binds by itself")
    return _queue_name(value)


def _new_name(value: str) -> str:
    if value.startswith("amq."):
        raise ValueError("must not start with 'amq.': RabbitMQ keeps those names to itself")
    return printable(not_own(_queue_name(value)))


_SHORT = {"maxLength": MAX_BYTES}
_NAME = {"minLength": 1, "maxLength": MAX_BYTES}
"""For documentation: as much of the rules as JSON Schema can say, which counts characters."""

ShortString = Annotated[str, AfterValidator(_fits), Field(json_schema_extra=_SHORT)]
"""Up to 255 bytes: a routing key, the name of an exchange (empty is the default exchange)."""

QueueName = Annotated[str, AfterValidator(_queue_name), Field(json_schema_extra=_NAME)]
"""The name of a queue that may exist already."""

ExchangeName = Annotated[str, AfterValidator(_exchange_name), Field(json_schema_extra=_NAME)]
"""The name of an exchange that may exist already, and is not the default one."""

OpenQueueName = Annotated[QueueName, AfterValidator(not_own)]
"""The name of a queue that clients may send messages to."""

OpenExchangeName = Annotated[ExchangeName, AfterValidator(not_own)]
"""The name of an exchange that clients may send messages to, or have them from."""

RoutingKey = Annotated[ShortString, AfterValidator(not_own), AfterValidator(printable)]
"""With the default exchange, which a dead letter may go by later, a routing key is the name of a queue."""

NewName = Annotated[str, AfterValidator(_new_name), Field(json_schema_extra=_NAME)]
"""The name of a queue or exchange to be created (`amq.` is reserved, AMQP 0-9-1 §1.7.2.1)."""

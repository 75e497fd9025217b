"""Names in AMQP: valid names of queues, exchanges and routing keys, and the names that the service reserves."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

MAX_BYTES = 255  # AMQP 0-9-1 §4.2.5.3: a short string has one octet for its length

OWN = "workerrmq."
"""Prefix of the service's internal queues and exchanges (gateway/amqp/topology.py)."""

EVENTS = f"{OWN}events"
"""The topic exchange of the service's own events, which clients may bind to (delivery/service_events.py)."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""C0 and C1 controls, line separators, and characters that change the direction of text (Unicode, UAX #9)."""


def printable(value: str) -> str:
    """Return the value. Raises ValueError if it contains a character that a terminal interprets instead of showing."""
    if _CONTROL.search(value):
        raise ValueError("must not contain control characters, or characters that change the direction of text")
    return value


def not_own(value: str) -> str:
    """Return the value. Raises ValueError if it is a name that the service reserves."""
    if value.startswith(OWN):
        raise ValueError(f"must not start with {OWN!r}: those names are reserved for the service")
    return value


def _may_be_bound(value: str) -> str:
    return value if value == EVENTS else not_own(value)


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
        raise ValueError("must not contain line breaks: RabbitMQ removes them, which changes the name")
    return _fits(value)


def _exchange_name(value: str) -> str:
    if not value:
        raise ValueError("must not be empty. To use the default exchange, give queueName; it needs no bindings")
    return _queue_name(value)


def _new_name(value: str) -> str:
    if value.startswith("amq."):
        raise ValueError("must not start with 'amq.': those names are reserved for RabbitMQ")
    return printable(not_own(_queue_name(value)))


_SHORT = {"maxLength": MAX_BYTES}
_NAME = {"minLength": 1, "maxLength": MAX_BYTES}
"""The rules for the OpenAPI document, as far as JSON Schema can express them: it counts characters, not bytes."""

ShortString = Annotated[str, AfterValidator(_fits), Field(json_schema_extra=_SHORT)]
"""Up to 255 bytes: a routing key, or the name of an exchange (empty: the default exchange)."""

QueueName = Annotated[str, AfterValidator(_queue_name), Field(json_schema_extra=_NAME)]
"""The name of a queue that may already exist."""

ExchangeName = Annotated[str, AfterValidator(_exchange_name), Field(json_schema_extra=_NAME)]
"""The name of an exchange that may already exist; not that of the default exchange."""

OpenQueueName = Annotated[QueueName, AfterValidator(not_own)]
"""The name of a queue that clients may publish to."""

OpenExchangeName = Annotated[ExchangeName, AfterValidator(not_own)]
"""The name of an exchange that clients may publish to."""

SourceExchangeName = Annotated[ExchangeName, AfterValidator(_may_be_bound)]
"""The name of an exchange whose messages clients may receive."""

RoutingKey = Annotated[ShortString, AfterValidator(not_own), AfterValidator(printable)]
"""A routing key. It must not be a reserved name: a dead letter may go through the default exchange, which takes the
routing key for a queue name."""

NewName = Annotated[str, AfterValidator(_new_name), Field(json_schema_extra=_NAME)]
"""The name of a queue or exchange to create (`amq.` is reserved, AMQP 0-9-1 §1.7.2.1)."""

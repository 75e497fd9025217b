"""Copies of scheduled messages, which wait in the delay levels with no attempt charged.

The levels hold a message for whole seconds. The worker that takes it from there holds it for the rest, less than a
second. A message that is earlier than that, because a level was deleted, returns to the levels.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil, floor

from delivery.copies import (
    ATTEMPTS,
    PREFIX,
    SCHEDULED_FOR,
    SCHEDULED_LEVEL_HEADER,
    Source,
    original,
    with_history,
    without_priority,
)
from delivery.delays import levels
from domain.message import Message, Properties
from domain.timestamps import as_text, from_text

_DUE_AT = PREFIX + "due-at"


def level_header(level: int) -> str:
    """Return the header by which a delay level takes a scheduled message."""
    return f"{SCHEDULED_LEVEL_HEADER}{level}"


def seconds_in_levels(due: float, now: float) -> int:
    """Return the whole seconds from `now` to `due`, rounded down; 0 if `due` is past. Both in Unix seconds."""
    return max(0, floor(due - now))


def waiting(message: Message, due: float) -> Message:
    """Return the copy of a message that waits until `due` (Unix seconds). It has the headers that `as_published` reads,
    and nothing that the broker acts on."""
    queue = "" if message.exchange else message.routing_key
    sent = message.properties
    until = ceil(due * 1000) / 1000  # the header has milliseconds
    source = Source(queue, message.exchange, message.routing_key, sent, message.body, sent.message_id or "")
    copy = with_history(source, {ATTEMPTS: 0, _DUE_AT: as_text(until)}, "", message.routing_key)
    return without_priority(copy)


def enter(copy: Message, delay: int, exchange: str) -> Message:
    """Return a waiting copy to publish to `exchange`, to wait in the levels for `delay` seconds."""
    marks = {level_header(level): True for level in levels(delay)}
    headers = {**(copy.properties.headers or {}), **marks}
    return replace(copy, exchange=exchange, properties=replace(copy.properties, headers=headers))


def due_at(copy: Message) -> float | None:
    """Return the time in Unix seconds at which a copy from the levels is due; None for a retry. A retry always has
    attempts charged, so a publisher cannot forge the time."""
    headers = copy.properties.headers or {}
    return from_text(headers.get(_DUE_AT)) if headers.get(ATTEMPTS) == 0 else None


def as_published(copy: Message, due: float, now: float) -> Message:
    """Return the message as its publisher sent it, except for the marks of its arrival."""
    exchange, routing_key, sent = original("", copy.routing_key, copy.properties)
    sent = replace(sent, user_id=None)  # forged, because the service sets none; RabbitMQ refuses another user's
    return Message(routing_key, copy.body, exchange, arrived(sent, due, now))


def arrived(sent: Properties, due: float, now: float) -> Properties:
    """Return the properties with the time of arrival as timestamp. If the publisher set one, keep it, and add the
    header SCHEDULED_FOR."""
    if sent.timestamp is None:
        return replace(sent, timestamp=int(max(due, now)))
    return replace(sent, headers={**(sent.headers or {}), SCHEDULED_FOR: as_text(due)})

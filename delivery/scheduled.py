"""Messages that are to be delivered later: they wait in the delay levels as copies without an attempt.

The levels keep a message for whole seconds, and the worker that takes it from there for the rest, less than a second.
It sends one back that comes earlier: a level that somebody deleted lets everything through at once.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil, floor

from delivery.copies import ATTEMPTS, PREFIX, SCHEDULED_FOR, Source, original, with_history, without_priority
from delivery.delays import levels
from domain.message import Message
from domain.timestamps import as_text, from_text

_DUE_AT = PREFIX + "due-at"


def level_header(level: int) -> str:
    """The header by which a delay level takes a scheduled message."""
    return f"{PREFIX}scheduled-{level}"


def seconds_in_levels(due: float, now: float) -> int:
    """Whole seconds to wait in the levels, so that less than one is left until `due`. Both in Unix seconds."""
    return max(0, floor(due - now))


def waiting(message: Message, due: float) -> Message:
    """The copy of a message that waits until `due` (Unix seconds). It keeps what `as_published` needs; nothing on it
    acts on the broker."""
    queue = "" if message.exchange else message.routing_key
    sent = message.properties
    until = ceil(due * 1000) / 1000  # the header has milliseconds
    source = Source(queue, message.exchange, message.routing_key, sent, message.body, sent.message_id or "")
    copy = with_history(source, {ATTEMPTS: 0, _DUE_AT: as_text(until)}, "", message.routing_key)
    return without_priority(copy)


def enter(copy: Message, delay: int, exchange: str) -> Message:
    """A waiting copy for the delay levels, entered by `exchange`, for `delay` seconds."""
    marks = {level_header(level): True for level in levels(delay)}
    headers = {**(copy.properties.headers or {}), **marks}
    return replace(copy, exchange=exchange, properties=replace(copy.properties, headers=headers))


def due_at(copy: Message) -> float | None:
    """When a copy that came through the levels is due, in Unix seconds; None if it is a retry. A retry has attempts
    behind it, whatever headers its publisher wrote."""
    headers = copy.properties.headers or {}
    return from_text(headers.get(_DUE_AT)) if headers.get(ATTEMPTS) == 0 else None


def as_published(copy: Message, due: float, now: float) -> Message:
    """The message for its queue or exchange, as its publisher sent it. Its timestamp is the time when it comes there;
    if the publisher set one, it stays, and a header says when the message was due."""
    exchange, routing_key, sent = original("", copy.routing_key, copy.properties)
    if sent.timestamp is None:
        sent = replace(sent, timestamp=int(max(due, now)))
    else:
        sent = replace(sent, headers={**(sent.headers or {}), SCHEDULED_FOR: as_text(due)})
    return Message(routing_key, copy.body, exchange, sent)

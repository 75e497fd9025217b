"""Builds copies of a message: for the delay levels, for the end of its queue, for another destination, and its reply.
Dead letters are in dead_letters.py.

A copy keeps the body, the headers and the properties. Properties and headers that the broker acts on (TTL, user id, CC,
and the death history by which RabbitMQ detects cycles) move into a separate header; `original` restores them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from delivery.delays import levels
from domain.message import Message, Properties, PropertiesView
from domain.names import MAX_BYTES, OWN
from domain.outcome import Answer
from domain.queue import MAX_MILLISECONDS
from domain.timestamps import as_text, from_text, plausible

PREFIX = "workerrmq-"
ATTEMPTS = PREFIX + "attempts"
"""number of attempts charged so far in the queue that QUEUE names"""
QUEUE = PREFIX + "queue"
_LEVEL_HEADER = PREFIX + "delay-"
SCHEDULED_LEVEL_HEADER = PREFIX + "scheduled-"
_ASIDE = PREFIX + "set-aside"
_EXCHANGE = PREFIX + "exchange"
_ROUTING_KEY = PREFIX + "routing-key"
FIRST_FAILED = PREFIX + "first-failed-at"
REPLAYED_AT = "x-replayed-at"
SCHEDULED_FOR = "x-scheduled-for"
"""time when a scheduled message was due, if its publisher set a timestamp (delivery/scheduled.py)"""

FORWARDS = PREFIX + "forwards"
"""number of times that filters forwarded the message"""
DEAD_LETTERED = PREFIX + "dead-lettered"
"""number of times that consumers dead-lettered the message, in any queue, since it was published, replayed or moved"""

LOOK_EXCHANGE = "workerrmq.look."
"""Prefix of the exchanges `workerrmq.look.<id>.<exchange>`, through which looks publish copies."""

BROKER_HEADERS = ("x-death", "x-first-death-exchange", "x-first-death-queue", "x-first-death-reason",
                  "x-last-death-exchange", "x-last-death-queue", "x-last-death-reason", "x-delivery-count",
                  "x-acquired-count", "CC", "BCC")  # fmt: skip
NOT_ACTING: dict[str, Any] = {"expiration": None, "user_id": None, "delivery_mode": 2, "cluster_id": None}
"""The properties that the broker acts on, and their values in a copy."""
_RESTORED: dict[str, Callable[[Any], bool]] = {
    "expiration": lambda value: isinstance(value, str) and re.fullmatch(r"\+?\d+", value, re.ASCII) is not None
    and int(value) <= MAX_MILLISECONDS,
    "delivery_mode": lambda value: isinstance(value, int) and value in (1, 2),
    "priority": lambda value: isinstance(value, int) and 0 <= value < 256,
    "CC": lambda value: isinstance(value, list),
    "BCC": lambda value: isinstance(value, list),
}  # fmt: skip
"""The values that `original` restores. For others, which a publisher may forge, RabbitMQ closes the channel (406), and
all other copies lose their confirms."""


class Source(NamedTuple):
    """A delivered message: its queue, and the exchange and routing key with which it arrived there."""

    queue: str
    exchange: str
    routing_key: str
    properties: PropertiesView
    body: bytes
    message_id: str


def attempts_charged(headers: Mapping[str, Any] | None, queue: str) -> int:
    """Return the number of attempts charged to a message of `queue`; 0 if the header is missing or malformed, or from
    another queue: a dead letter has all attempts again in the queue of another consumer."""
    return (_count(headers, ATTEMPTS) or 0) if headers and headers.get(QUEUE) == queue else 0


def times_forwarded(headers: Mapping[str, Any] | None) -> int:
    """Return how often filters forwarded a message; 0 if the header is missing or malformed."""
    return _count(headers, FORWARDS) or 0


def times_dead_lettered(headers: Mapping[str, Any] | None) -> int:
    """Return how often consumers dead-lettered a message; 0 if the header is missing or malformed."""
    return _count(headers, DEAD_LETTERED) or 0


def _count(headers: Mapping[str, Any] | None, name: str) -> int | None:
    count = headers.get(name) if headers else None
    return count if isinstance(count, int) and 0 <= count < 2**31 else None


def level_header(level: int) -> str:
    """Return the header that routes a message into a delay level. It must not start with `x-`: headers exchanges ignore
    such headers."""
    return f"{_LEVEL_HEADER}{level}"


def retry_copy(source: Source, consumer: str, answer: Answer, delay: int, exchange: str, now: float) -> Message:
    """Return a copy for the delay levels, to publish to `exchange`. After `delay` seconds it returns to the source
    queue, whose name is its routing key."""
    marks = {level_header(level): True for level in levels(delay)}
    return without_priority(failed_copy(source, consumer, answer, now, marks, exchange, source.queue))


def passed(routing_key: str, properties: PropertiesView, body: bytes) -> Message:
    """Return a copy whose delay is over, ready to wait again, without the headers and properties of the delay levels
    and those that the broker acts on."""
    fields = {name: getattr(properties, name) for name in Properties.__slots__}
    headers = {
        name: value
        for name, value in (properties.headers or {}).items()
        if name not in BROKER_HEADERS
        and not (isinstance(name, str) and name.startswith((_LEVEL_HEADER, SCHEDULED_LEVEL_HEADER)))
    }
    return Message(routing_key, body, properties=Properties(**{**fields, **NOT_ACTING, "headers": headers or None}))


def due_again(copy: Message) -> Message:
    """Return a retry for its queue, with its priority, from a copy that passed the levels."""
    return replace(copy, properties=replace(copy.properties, priority=_priority(copy.properties)))


def forwarded(source: Source, exchange: str, routing_key: str) -> Message:
    """Return the message for another exchange, with the publisher's body, properties and headers.

    It is persistent. It has no user id, CC, BCC or death history: the broker would act on them.
    """
    _, _, sent = original(source.exchange, source.routing_key, source.properties)
    headers = {name: value for name, value in (sent.headers or {}).items() if name not in BROKER_HEADERS}
    headers[FORWARDS] = times_forwarded(source.properties.headers) + 1
    kept = {**NOT_ACTING, "expiration": sent.expiration}
    return Message(
        routing_key, source.body, exchange, replace(sent, headers=headers, message_id=source.message_id, **kept)
    )


def wants_reply(source: Source) -> bool:
    """Return whether `reply_to` names a queue that is not the service's own: the publisher may have no permission to
    publish to those."""
    reply_to = source.properties.reply_to
    return bool(reply_to) and not (isinstance(reply_to, str) and reply_to.startswith(OWN))


def reply(source: Source, answer: Answer) -> Message:
    """Return the target's answer as a message for `reply_to`, with the correlation id; transient, as RPC replies
    are."""
    properties = Properties(
        content_type=_name(answer.content_type, "application/octet-stream") if answer.content_type else None,
        correlation_id=source.properties.correlation_id,
        headers={PREFIX + "status": answer.status} | ({PREFIX + "truncated": True} if answer.truncated else {}),
        message_id=_name(f"reply-to-{source.message_id}", "reply"),
        delivery_mode=1,
    )
    return Message(source.properties.reply_to or "", answer.body, properties=properties)


def came_from(properties: PropertiesView, default: str) -> str:
    """Return the queue that a dead letter came from; `default` if its headers do not name one."""
    return _name((properties.headers or {}).get(QUEUE), default) or default


def original(exchange: str, routing_key: str, properties: PropertiesView) -> tuple[str, str, Properties]:
    """Return exchange, routing key and properties as the publisher sent them, of a copy or of any other message. A
    publisher may forge our headers, so malformed ones are ignored."""
    exchange = came_by(exchange)
    fields = {name: getattr(properties, name) for name in Properties.__slots__}
    headers = dict(properties.headers or {})
    if not _is_copy(headers):
        return exchange, routing_key, Properties(**fields)
    aside = _set_aside(headers)
    exchange, routing_key = _name(headers.get(_EXCHANGE), exchange), _name(headers.get(_ROUTING_KEY), routing_key)
    kept = {name: value for name, value in headers.items() if name not in BROKER_HEADERS and not _is_ours(name)}
    kept |= {name: aside[name] for name in BROKER_HEADERS if name in aside}
    fields |= {name: aside.get(name) for name in NOT_ACTING}
    fields["priority"] = _priority(properties)
    return exchange, routing_key, Properties(**{**fields, "headers": kept or None})


def _priority(properties: PropertiesView) -> int | None:
    return properties.priority if properties.priority is not None else _set_aside(properties.headers).get("priority")


def _set_aside(headers: Mapping[str, Any] | None) -> dict[str, Any]:
    aside = (headers or {}).get(_ASIDE)
    aside = aside if isinstance(aside, dict) else {}
    return {name: value for name, value in aside.items() if name not in _RESTORED or _RESTORED[name](value)}


def without_priority(copy: Message) -> Message:
    """Return a copy for the delay levels with its priority set aside. RabbitMQ 4 checks the next message to deliver for
    expiry, so a later message of higher priority would delay the others (seen on 4.0.5)."""
    priority, headers = copy.properties.priority, copy.properties.headers or {}
    if priority is None:
        return copy
    headers = {**headers, _ASIDE: {**headers.get(_ASIDE, {}), "priority": priority}}
    return replace(copy, properties=replace(copy.properties, headers=headers, priority=None))


def came_by(exchange: str) -> str:
    """Return the exchange that a message was published to, given the one by which it came into its queue."""
    return exchange.removeprefix(LOOK_EXCHANGE).partition(".")[2] if exchange.startswith(LOOK_EXCHANGE) else exchange


def returned_copy(source: Source, first_failed: float | None = None) -> Message:
    """Return a copy for the end of the source queue, with the same number of charged attempts. To the broker it is a
    new message. `first_failed` (Unix seconds) applies if the message has no time of its first failure."""
    before = source.properties.headers or {}
    history: dict[str, Any] = {ATTEMPTS: attempts_charged(before, source.queue)}
    if FIRST_FAILED in before:
        history[FIRST_FAILED] = before[FIRST_FAILED]
    elif first_failed is not None:
        history[FIRST_FAILED] = as_text(first_failed)
    return with_history(source, history, "", source.queue)


def routed_copy(source: Source, queue: str) -> Message:
    """Return a copy for the queue of a route. `original` restores the publisher's exchange, routing key and properties
    from it. The charged attempts are those of the message."""
    copy = returned_copy(source)
    headers = {**(copy.properties.headers or {}), QUEUE: queue}
    return replace(copy, routing_key=queue, properties=replace(copy.properties, headers=headers))


def known_since(properties: PropertiesView, now: float) -> float | None:
    """Return the time in Unix seconds since which a message is known: the latest plausible one of its timestamp, the
    time that it was scheduled for, and its replay; else its first failed attempt, else None. `now` is in Unix
    seconds."""
    headers = properties.headers or {}
    timestamp = properties.timestamp
    told: list[float | None] = [timestamp.timestamp() if isinstance(timestamp, datetime) else timestamp]
    told += [from_text(headers.get(name)) for name in (SCHEDULED_FOR, REPLAYED_AT)]
    known = [float(one) for one in told if isinstance(one, int | float) and plausible(one, now)]
    return max(known) if known else from_text(headers.get(FIRST_FAILED))


def failed_copy(
    source: Source, consumer: str, answer: Answer, now: float, extra: dict[str, Any], exchange: str, routing_key: str
) -> Message:
    """Return a copy with the history of a failed attempt in its headers. `extra` headers take precedence; `now` is in
    Unix seconds."""
    before = source.properties.headers or {}
    moment = as_text(now)
    history = {
        ATTEMPTS: attempts_charged(before, source.queue) + 1,
        PREFIX + "consumer": consumer,
        PREFIX + "reason": answer.reason[:500],
        FIRST_FAILED: before.get(FIRST_FAILED, moment),
        PREFIX + "last-failed-at": moment,
        **extra,
    }
    if answer.status is not None:
        history[PREFIX + "status"] = answer.status
    if answer.error is not None:
        history[PREFIX + "error"] = answer.error.value
    return with_history(source, history, exchange, routing_key)


def with_history(source: Source, history: dict[str, Any], exchange: str, routing_key: str) -> Message:
    """Return a persistent copy with `history` in its headers, and with the headers that `original` reads."""
    sent_to, came_with, sent = original(source.exchange, source.routing_key, source.properties)
    headers = {name: value for name, value in (sent.headers or {}).items() if not _is_ours(name)}
    aside = {name: headers.pop(name) for name in BROKER_HEADERS if name in headers}
    aside |= {name: value for name in NOT_ACTING if (value := getattr(sent, name)) is not None}
    if times := times_dead_lettered(source.properties.headers):
        headers[DEAD_LETTERED] = times
    headers |= {QUEUE: source.queue, _EXCHANGE: sent_to, _ROUTING_KEY: came_with, **history}
    if aside:
        headers[_ASIDE] = aside
    copied = replace(sent, headers=headers, message_id=source.message_id or None, **NOT_ACTING)
    return Message(routing_key, source.body, exchange, copied)


def _is_copy(headers: Mapping[str, Any]) -> bool:
    return _count(headers, ATTEMPTS) is not None and isinstance(headers.get(QUEUE), str)


def _is_ours(header: str | bytes) -> bool:
    """Return whether a header is the service's own. pika returns bytes for a name that is not UTF-8."""
    return isinstance(header, str) and header.startswith(PREFIX)


def _name(value: Any, default: str) -> str:
    """Return `value` if it is a valid short string (AMQP 0-9-1 §4.2.5.3), else `default`."""
    return value if isinstance(value, str) and len(value.encode()) <= MAX_BYTES else default

"""The copies of a message that failed: one for the delay levels, one for the dead-letter queue.

A copy keeps body, headers and properties. What would act on the broker on the way (a TTL, a user id, CC, the death
history that makes RabbitMQ drop cycles) is set aside in a header and put back by `original`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from delivery.delays import levels
from domain.message import Message, Properties, PropertiesView
from domain.names import MAX_BYTES
from domain.outcome import Answer
from domain.timestamps import plausible

PREFIX = "workerrmq-"
ATTEMPTS = PREFIX + "attempts"
"""attempts that were charged so far"""
QUEUE = PREFIX + "queue"
_LEVEL_HEADER = PREFIX + "delay-"
_ASIDE = PREFIX + "set-aside"
_EXCHANGE = PREFIX + "exchange"
_ROUTING_KEY = PREFIX + "routing-key"
FIRST_FAILED = PREFIX + "first-failed-at"
REPLAYED_AT = "x-replayed-at"

FORWARDS = PREFIX + "forwards"
"""how often a message was forwarded because a filter did not admit it"""

LOOK_EXCHANGE = "workerrmq.look."
"""A message came by such an exchange, `workerrmq.look.<id>.<exchange>`, when a look has put a copy in its place."""

_BROKER_HEADERS = ("x-death", "x-first-death-exchange", "x-first-death-queue", "x-first-death-reason",
                   "x-last-death-exchange", "x-last-death-queue", "x-last-death-reason", "x-delivery-count",
                   "x-acquired-count", "CC", "BCC")  # fmt: skip
_ACTING_PROPERTIES = ("expiration", "user_id", "delivery_mode", "cluster_id")


class Source(NamedTuple):
    """Where and as what a delivery arrived: queue, and the exchange and routing key that it came by."""

    queue: str
    exchange: str
    routing_key: str
    properties: PropertiesView
    body: bytes
    message_id: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """Attempts before the last one that are not in a message's headers: an ordered consumer tries again in place.
    `first_failed` in Unix seconds."""

    attempts: int
    first_failed: float


def attempts_charged(headers: Mapping[str, Any] | None) -> int:
    """How many attempts a message has behind it. Nonsense in the header counts as none."""
    charged = headers.get(ATTEMPTS, 0) if headers else 0
    return charged if isinstance(charged, int) and 0 <= charged < 2**31 else 0


def times_forwarded(headers: Mapping[str, Any] | None) -> int:
    """How often filters have forwarded a message."""
    forwards = headers.get(FORWARDS, 0) if headers else 0
    return forwards if isinstance(forwards, int) and 0 <= forwards < 2**31 else 0


def level_header(level: int) -> str:
    """The header by which a delay level takes a message. Not `x-…`: headers exchanges ignore those."""
    return f"{_LEVEL_HEADER}{level}"


def retry_copy(source: Source, consumer: str, answer: Answer, delay: int, exchange: str, now: float) -> Message:
    """For the delay levels, entered by `exchange`: the copy comes back to the source queue, which is its routing key,
    after `delay` seconds."""
    marks = {level_header(level): True for level in levels(delay)}
    return _copy(source, consumer, answer, now, marks, exchange, source.queue)


def due_again(queue: str, properties: PropertiesView, body: bytes) -> Message:
    """A copy whose delay is over, for its queue. What acted on the broker on the way does not act any more."""
    fields = {name: getattr(properties, name) for name in Properties.__slots__}
    headers = {
        name: value
        for name, value in (properties.headers or {}).items()
        if name not in _BROKER_HEADERS and not (isinstance(name, str) and name.startswith(_LEVEL_HEADER))
    }
    acting = {"expiration": None, "user_id": None, "delivery_mode": 2, "cluster_id": None}
    return Message(queue, body, properties=Properties(**{**fields, **acting, "headers": headers or None}))


def dead_letter(
    source: Source,
    consumer: str,
    answer: Answer,
    outcome: str,
    address: tuple[str, str | None],
    now: float,
    earlier: Earlier | None = None,
) -> Message:
    """For a dead-letter `address` (exchange, routing key; None is the message's own). `outcome` is why: `rejected`,
    `exhausted` or `filtered`."""
    exchange, routing_key = address
    if routing_key is None:
        routing_key = original(source.exchange, source.routing_key, source.properties)[1]
    extra: dict[str, Any] = {PREFIX + "outcome": outcome}
    if outcome == "filtered":  # it was not sent, so no attempt is charged
        extra[ATTEMPTS] = attempts_charged(source.properties.headers)
    if earlier:
        extra |= {ATTEMPTS: earlier.attempts + 1, FIRST_FAILED: _moment(earlier.first_failed)}
    return _copy(source, consumer, answer, now, extra, exchange, routing_key)


def bare_dead_letter(
    source: Source, address: tuple[str, str | None], *, persistent: bool = True, headers: bool = True
) -> Message:
    """For a message whose headers leave no room to say why it died: as it was published, but for what would act on the
    broker. It may be that there is no room to make it `persistent` either, or for its own `headers`, as they are
    written here: numbers may take more bytes than its publisher spent."""
    _, came_with, sent = original(source.exchange, source.routing_key, source.properties)
    kept = {name: value for name, value in (sent.headers or {}).items() if headers and name not in _BROKER_HEADERS}
    exchange, routing_key = address
    mode = 2 if persistent else sent.delivery_mode
    bare = replace(sent, headers=kept or None, delivery_mode=mode, expiration=None, user_id=None, cluster_id=None)
    return Message(came_with if routing_key is None else routing_key, source.body, exchange, bare)


def forwarded(source: Source, exchange: str, routing_key: str) -> Message:
    """The message as it was published, for another exchange. Persistent, so that it is not lost now, and without what
    would act on the broker other than its publisher meant it: a user id, CC, the death history."""
    _, _, sent = original(source.exchange, source.routing_key, source.properties)
    headers = {name: value for name, value in (sent.headers or {}).items() if name not in _BROKER_HEADERS}
    headers[FORWARDS] = times_forwarded(source.properties.headers) + 1
    onward = replace(
        sent, headers=headers, message_id=source.message_id, delivery_mode=2, user_id=None, cluster_id=None
    )
    return Message(routing_key, source.body, exchange, onward)


def reply(source: Source, answer: Answer) -> Message:
    """The target's answer for the message's `reply_to`, under its correlation id; transient, as RPC replies are."""
    properties = Properties(
        content_type=_name(answer.content_type, "application/octet-stream") if answer.content_type else None,
        correlation_id=source.properties.correlation_id,
        headers={PREFIX + "status": answer.status},
        message_id=_name(f"reply-to-{source.message_id}", "reply"),
        delivery_mode=1,
    )
    return Message(source.properties.reply_to or "", answer.body, properties=properties)


def replayed(properties: PropertiesView, body: bytes, queue: str, now: float) -> Message:
    """A dead letter as a message anew, for the queue that it came from (`queue`, where it does not tell). Persistent,
    whatever it was before: it must not be lost now."""
    _, _, sent = original("", "", properties)
    headers = {**(sent.headers or {}), REPLAYED_AT: _moment(now)}
    back = replace(sent, headers=headers, delivery_mode=2, expiration=None, user_id=None, cluster_id=None)
    return Message(came_from(properties, queue), body, properties=back)


def came_from(properties: PropertiesView, default: str) -> str:
    """The queue that a dead letter was in; `default` where it does not tell."""
    return _name((properties.headers or {}).get(QUEUE), default)


def original(exchange: str, routing_key: str, properties: PropertiesView) -> tuple[str, str, Properties]:
    """Exchange, routing key and properties as the publisher sent them, from a copy that came back (or from a message
    that never was one). A publisher may write headers in our name: what is not as we write it counts for nothing."""
    exchange = came_by(exchange)
    fields = {name: getattr(properties, name) for name in Properties.__slots__}
    headers = dict(properties.headers or {})
    if not _is_copy(headers):
        return exchange, routing_key, Properties(**fields)
    aside = headers.get(_ASIDE)
    aside = aside if isinstance(aside, dict) else {}
    exchange, routing_key = _name(headers.get(_EXCHANGE), exchange), _name(headers.get(_ROUTING_KEY), routing_key)
    kept = {name: value for name, value in headers.items() if name not in _BROKER_HEADERS and not _is_ours(name)}
    kept |= {name: aside[name] for name in _BROKER_HEADERS if name in aside}
    fields |= {name: aside.get(name) for name in _ACTING_PROPERTIES}
    return exchange, routing_key, Properties(**{**fields, "headers": kept or None})


def came_by(exchange: str) -> str:
    """The exchange that a message was published to, of the one that brought it into its queue."""
    return exchange.removeprefix(LOOK_EXCHANGE).partition(".")[2] if exchange.startswith(LOOK_EXCHANGE) else exchange


def returned_copy(source: Source, first_failed: float | None = None) -> Message:
    """For the end of the queue that it came from, with as many attempts charged as before: to the broker it is new.
    `first_failed` (Unix seconds) is noted where the message does not say when it first failed."""
    before = source.properties.headers or {}
    history: dict[str, Any] = {ATTEMPTS: attempts_charged(before)}
    if FIRST_FAILED in before:
        history[FIRST_FAILED] = before[FIRST_FAILED]
    elif first_failed is not None:
        history[FIRST_FAILED] = _moment(first_failed)
    return _with_history(source, history, "", source.queue)


def known_since(properties: PropertiesView, now: float) -> float | None:
    """When a message was published, in Unix seconds: by its timestamp or, where it has none that can be true, by its
    first failed attempt; None when neither is known."""
    timestamp = properties.timestamp
    seconds = timestamp.timestamp() if isinstance(timestamp, datetime) else timestamp
    if isinstance(seconds, int | float) and plausible(seconds, now):
        return float(seconds)
    first_failed = (properties.headers or {}).get(FIRST_FAILED)
    try:
        return datetime.fromisoformat(first_failed).timestamp() if isinstance(first_failed, str) else None
    except ValueError:
        return None


def _copy(
    source: Source, consumer: str, answer: Answer, now: float, extra: dict[str, Any], exchange: str, routing_key: str
) -> Message:
    before = source.properties.headers or {}
    moment = _moment(now)
    history = {
        ATTEMPTS: attempts_charged(before) + 1,
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
    return _with_history(source, history, exchange, routing_key)


def _with_history(source: Source, history: dict[str, Any], exchange: str, routing_key: str) -> Message:
    """The message with what `original` needs, and what else shall be said of it."""
    sent_to, came_with, sent = original(source.exchange, source.routing_key, source.properties)
    headers = dict(sent.headers or {})
    aside = {name: headers.pop(name) for name in _BROKER_HEADERS if name in headers}
    aside |= {name: value for name in _ACTING_PROPERTIES if (value := getattr(sent, name)) is not None}
    headers |= {QUEUE: source.queue, _EXCHANGE: sent_to, _ROUTING_KEY: came_with, **history}
    if aside:
        headers[_ASIDE] = aside
    persistent = replace(
        sent, headers=headers, message_id=source.message_id, delivery_mode=2, expiration=None, user_id=None,
        cluster_id=None,
    )  # fmt: skip
    return Message(routing_key, source.body, exchange, persistent)


def _is_copy(headers: Mapping[str, Any]) -> bool:
    charged = headers.get(ATTEMPTS)
    return isinstance(charged, int) and 0 <= charged < 2**31 and isinstance(headers.get(QUEUE), str)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _is_ours(header: str | bytes) -> bool:
    """Bytes are what a driver makes of a name that is not UTF-8."""
    return isinstance(header, str) and header.startswith(PREFIX)


def _name(value: Any, default: str) -> str:
    """A short string (AMQP 0-9-1 §4.2.5.3), or the default."""
    return value if isinstance(value, str) and len(value.encode()) <= MAX_BYTES else default

"""The copies of a message that failed: one for the delay levels, one for the dead-letter queue.

A copy keeps body, headers and properties. What would act on the broker on the way (a TTL, a user id, CC, the death
history that makes RabbitMQ drop cycles) is set aside in a header and put back by `original`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from delivery.delays import levels
from domain.message import Message, Properties, PropertiesView
from domain.names import MAX_BYTES, OWN
from domain.outcome import Answer
from domain.timestamps import as_text, from_text, plausible

PREFIX = "workerrmq-"
ATTEMPTS = PREFIX + "attempts"
"""attempts that were charged so far"""
QUEUE = PREFIX + "queue"
_LEVEL_HEADER = PREFIX + "delay-"
_LEVEL_HEADERS = _LEVEL_HEADER, PREFIX + "scheduled-"
_ASIDE = PREFIX + "set-aside"
_EXCHANGE = PREFIX + "exchange"
_ROUTING_KEY = PREFIX + "routing-key"
FIRST_FAILED = PREFIX + "first-failed-at"
REPLAYED_AT = "x-replayed-at"
SCHEDULED_FOR = "x-scheduled-for"
"""beside a timestamp of the publisher's own: when the message was to be delivered (delivery/scheduled.py)"""

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


def level_header(level: int) -> str:
    """The header by which a delay level takes a message. Not `x-…`: headers exchanges ignore those."""
    return f"{_LEVEL_HEADER}{level}"


def retry_copy(source: Source, consumer: str, answer: Answer, delay: int, exchange: str, now: float) -> Message:
    """For the delay levels, entered by `exchange`: the copy comes back to the source queue, which is its routing key,
    after `delay` seconds."""
    marks = {level_header(level): True for level in levels(delay)}
    return without_priority(_copy(source, consumer, answer, now, marks, exchange, source.queue))


def passed(routing_key: str, properties: PropertiesView, body: bytes) -> Message:
    """A copy whose delay is over, as it may wait again. What the levels and the broker acted on is gone."""
    fields = {name: getattr(properties, name) for name in Properties.__slots__}
    headers = {
        name: value
        for name, value in (properties.headers or {}).items()
        if name not in _BROKER_HEADERS and not (isinstance(name, str) and name.startswith(_LEVEL_HEADERS))
    }
    acting = {"expiration": None, "user_id": None, "delivery_mode": 2, "cluster_id": None}
    return Message(routing_key, body, properties=Properties(**{**fields, **acting, "headers": headers or None}))


def due_again(copy: Message) -> Message:
    """A retry that passed the levels, for its queue, where its priority counts again."""
    return replace(copy, properties=replace(copy.properties, priority=_priority(copy.properties)))


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
    `exhausted` or `expired`."""
    exchange, routing_key = address[0], _dead_letter_key(source, address)
    extra: dict[str, Any] = {PREFIX + "outcome": outcome}
    if earlier:
        extra |= {ATTEMPTS: earlier.attempts + 1, FIRST_FAILED: as_text(earlier.first_failed)}
    return _copy(source, consumer, answer, now, extra, exchange, routing_key)


def leads_back(source: Source, address: tuple[str, str | None]) -> bool:
    """Whether a dead letter for `address` would come back to its queue at once, for ever: RabbitMQ does not drop
    messages that go in circles by being rejected (https://www.rabbitmq.com/docs/dlx#routing)."""
    return address[0] == "" and _dead_letter_key(source, address) == source.queue


def _dead_letter_key(source: Source, address: tuple[str, str | None]) -> str:
    if address[1] is not None:
        return address[1]
    return original(source.exchange, source.routing_key, source.properties)[1]


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


def wants_reply(source: Source) -> bool:
    """Whether a message names a queue for the answer, and not one of the service's own: who publishes may well have no
    right to write there."""
    reply_to = source.properties.reply_to
    return bool(reply_to) and not (isinstance(reply_to, str) and reply_to.startswith(OWN))


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
    """A dead letter as a message anew, for the queue that it came from (`queue`, where it does not tell), and for no
    other: CC and BCC have had their effect when it was published. Persistent, whatever it was before: it must not be
    lost now."""
    _, _, sent = original("", "", properties)
    kept = {name: value for name, value in (sent.headers or {}).items() if name not in _BROKER_HEADERS}
    headers = {**kept, REPLAYED_AT: as_text(now)}
    back = replace(sent, headers=headers, delivery_mode=2, expiration=None, user_id=None, cluster_id=None)
    return Message(came_from(properties, queue), body, properties=back)


def came_from(properties: PropertiesView, default: str) -> str:
    """The queue that a dead letter was in; `default` where it does not tell."""
    return _name((properties.headers or {}).get(QUEUE), default) or default


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
    fields["priority"] = _priority(properties)
    return exchange, routing_key, Properties(**{**fields, "headers": kept or None})


def _priority(properties: PropertiesView) -> int | None:
    aside = (properties.headers or {}).get(_ASIDE)
    if properties.priority is not None or not isinstance(aside, dict):
        return properties.priority
    priority = aside.get("priority")
    return priority if isinstance(priority, int) and 0 <= priority < 256 else None


def without_priority(copy: Message) -> Message:
    """For the delay levels: RabbitMQ 4 looks whether the next message to deliver has expired, which may be one of
    higher priority that came later, and so would keep back the others."""
    priority, headers = copy.properties.priority, copy.properties.headers or {}
    if priority is None:
        return copy
    headers = {**headers, _ASIDE: {**headers.get(_ASIDE, {}), "priority": priority}}
    return replace(copy, properties=replace(copy.properties, headers=headers, priority=None))


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
        history[FIRST_FAILED] = as_text(first_failed)
    return with_history(source, history, "", source.queue)


def known_since(properties: PropertiesView, now: float) -> float | None:
    """When a message came into its queue as a new one, in Unix seconds: by its timestamp, or by what put it there
    later; where neither can be true, by its first failed attempt. None when nothing is known."""
    headers = properties.headers or {}
    timestamp = properties.timestamp
    told: list[float | None] = [timestamp.timestamp() if isinstance(timestamp, datetime) else timestamp]
    told += [from_text(headers.get(name)) for name in (SCHEDULED_FOR, REPLAYED_AT)]
    known = [float(one) for one in told if isinstance(one, int | float) and plausible(one, now)]
    return max(known) if known else from_text(headers.get(FIRST_FAILED))


def _copy(
    source: Source, consumer: str, answer: Answer, now: float, extra: dict[str, Any], exchange: str, routing_key: str
) -> Message:
    before = source.properties.headers or {}
    moment = as_text(now)
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
    return with_history(source, history, exchange, routing_key)


def with_history(source: Source, history: dict[str, Any], exchange: str, routing_key: str) -> Message:
    """The message with what `original` needs, and what else shall be said of it."""
    sent_to, came_with, sent = original(source.exchange, source.routing_key, source.properties)
    headers = {name: value for name, value in (sent.headers or {}).items() if not _is_ours(name)}
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


def _is_ours(header: str | bytes) -> bool:
    """Bytes are what a driver makes of a name that is not UTF-8."""
    return isinstance(header, str) and header.startswith(PREFIX)


def _name(value: Any, default: str) -> str:
    """A short string (AMQP 0-9-1 §4.2.5.3), or the default."""
    return value if isinstance(value, str) and len(value.encode()) <= MAX_BYTES else default

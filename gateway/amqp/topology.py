"""The service's own exchanges and queues: delay levels, the way back from them, dead-letter queues.

                  bit n set                       after 2^n s
  copy ─▶ (delay.n) ──────▶ [workerrmq.delay.n] ──────────────┐
             │ bit n not set (alternate exchange)             │
             ▼                                                │
          (delay.n-1) ◀───────────────────────────────────────┘
             ┆
          (delay.0) ─▶ (due) ─▶ [workerrmq.due] ─▶ a worker ─▶ the source queue, or where it was published to
                         ▲                            ├─ refused ─▶ (overdue) ─▶ [workerrmq.overdue] ─┐
                         │                            └─ no such queue ─▶ (orphans) ─▶ [workerrmq.orphans]
                         └───────────────────────────────── after a while ────────────────────────────┘

A level is a headers exchange `workerrmq.delay.n` and two queues: one of the same name for retries, and
`workerrmq.scheduled.n` for scheduled messages, so that RabbitMQ counts them separately and many of one kind do not
delay the other. All consumers share the levels. The queues never expire. They are quorum queues with at-least-once
dead-lettering, so that no message is lost between two queues
(https://www.rabbitmq.com/docs/quorum-queues#dead-lettering) and none lives on one node only. RabbitMQ dead-letters only
to our own queues, which refuse nothing: a queue that refuses would delay all other messages of the level. A worker
carries out the last hop (gateway/consuming/due_retries.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from delivery import copies, scheduled
from delivery.delays import levels
from domain.names import MAX_BYTES
from gateway.amqp.declaring import Declaration, bind, exchange, fanout, queue

DUE = "workerrmq.due"
"""Retries whose delay is over, until a worker returns them to their queues."""
OVERDUE = "workerrmq.overdue"
"""Retries that their queues refused; they are due again after a pause."""
ORPHANS = "workerrmq.orphans"

_LEVEL = "workerrmq.delay."
_OLD_RUNG = "workerrmq.retry."
"""Prefix of the retry queues of earlier versions, which expire."""
OLD_ORPHANED = "workerrmq.orphaned"
"""The classic queue for orphans of earlier versions, and its fanout exchange; see gateway/amqp/migration.py."""
_SCHEDULED = "workerrmq.scheduled."
_WAITING = _LEVEL, _SCHEDULED, _OLD_RUNG
_DEAD_LETTERS = ".dlq"


class Kind(NamedTuple):
    """A kind of delayed messages. `queues` is the prefix of its queues' names; `mark` returns the header by which a
    level takes a message of this kind."""

    queues: str
    mark: Callable[[int], str]


RETRIES = Kind(_LEVEL, copies.level_header)
SCHEDULED = Kind(_SCHEDULED, scheduled.level_header)


def level_name(level: int) -> str:
    """Return the name of a level's exchange and queue; for a negative level, that of the exchange for due retries."""
    return f"{_LEVEL}{level}" if level >= 0 else DUE


def entrance(delay: int) -> str:
    """Return the exchange to which a message is published to wait for `delay` seconds; for 0, the exchange behind the
    levels."""
    return level_name(levels(delay)[0]) if delay else DUE


def due(arguments: Mapping[str, Any]) -> Declaration:
    """Declare the queue of due retries, which every level needs. Here and below, `arguments` come from
    `quorum_arguments`."""
    return (yield from _behind(DUE, arguments))


def overdue(arguments: Mapping[str, Any], again: float) -> Declaration:
    """Declare the queue of refused retries, which are due again after `again` seconds."""
    return (yield from _behind(OVERDUE, {**arguments, **_waiting(again, DUE)}))


def orphans(arguments: Mapping[str, Any]) -> Declaration:
    """Declare the queue of orphans."""
    return (yield from _behind(ORPHANS, arguments))


def _behind(name: str, arguments: Mapping[str, Any]) -> Declaration:
    """Declare a fanout exchange and a queue of the same name. Messages keep the routing key, their source queue's
    name."""
    yield from fanout(name)
    made = yield from queue(name, arguments)
    yield bind(name, name)
    return made


def _waiting(seconds: float, then: str) -> dict[str, Any]:
    """Return the arguments of a queue that holds each message for `seconds`, then dead-letters it to exchange
    `then`."""
    return {
        "x-message-ttl": round(seconds * 1000),
        "x-dead-letter-exchange": then,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",  # at-least-once dead-lettering requires it
    }


def level_queue(kind: Kind, level: int) -> str:
    """Return the name of a level's queue for messages of this kind."""
    return f"{kind.queues}{level}"


def level(kind: Kind, number: int, arguments: Mapping[str, Any]) -> Declaration:
    """Declare one delay level for messages of this kind; the level below must exist."""
    name, below, waiting = level_name(number), level_name(number - 1), level_queue(kind, number)
    yield from exchange(name, "headers", {"alternate-exchange": below})
    made = yield from queue(waiting, {**arguments, **_waiting(1 << number, below)})
    yield bind(waiting, name, arguments={"x-match": "all", kind.mark(number): True})
    return made


def quorum_arguments(server: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a quorum queue that never drops a message, for a broker with these server properties.

    From 4.0 on, RabbitMQ drops a message that was returned 20 times; -1 disables that. Before 4.0 there is no limit by
    default, and -1 drops a message at its first return
    (https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling).
    """
    major = str(server.get("version", "")).partition(".")[0]
    unlimited = server.get("product") != "RabbitMQ" or (major.isdigit() and int(major) >= 4)
    return {"x-queue-type": "quorum", **({"x-delivery-limit": -1} if unlimited else {})}


def classic_arguments() -> dict[str, Any]:
    """Return the arguments of a classic queue. They name the type, because a virtual host may have another default."""
    return {"x-queue-type": "classic"}


def holds_delayed(queue_name: str) -> bool:
    """Return whether a queue of that name holds retries or scheduled messages."""
    return queue_name.startswith(_WAITING) or holds_due(queue_name)


def scheduled_level(queue_name: str) -> int | None:
    """Return the level of a queue for scheduled messages; None for any other queue."""
    number = queue_name.removeprefix(_SCHEDULED)
    return int(number) if number != queue_name and number.isascii() and number.isdecimal() else None


def holds_due(queue_name: str) -> bool:
    """Return whether a queue of that name holds messages whose delay is over."""
    return queue_name in (DUE, OVERDUE)


def dead_letter_queue(queue_name: str) -> str:
    """Return the name of our dead-letter queue for a queue without one: `<queue>.dlq`. If that is longer than 255
    bytes, a hash replaces the end of the queue's name."""
    name, room = queue_name.encode(), MAX_BYTES - len(_DEAD_LETTERS)
    if len(name) > room:
        end = f".{sha256(name).hexdigest()[:12]}"
        queue_name = name[: room - len(end)].decode(errors="ignore") + end
    return queue_name + _DEAD_LETTERS


def is_dead_letter_queue(queue_name: str) -> bool:
    """Return whether a queue of that name is a dead-letter queue of ours or the queue of orphans."""
    return queue_name.endswith(_DEAD_LETTERS) or queue_name in (ORPHANS, OLD_ORPHANED)

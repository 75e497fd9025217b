"""What the service keeps in the broker for itself: the delay levels, the way back from them, dead-letter queues.

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

A level is a headers exchange `workerrmq.delay.n` and two queues behind it: one of the same name for retries, and
`workerrmq.scheduled.n` for scheduled messages, so that RabbitMQ counts them apart and many of one kind do not delay the
other. All consumers share the levels. They never expire. They are quorum queues with at-least-once dead-lettering, so
that no message is lost between two queues (https://www.rabbitmq.com/docs/quorum-queues#dead-lettering) and none lives
on one node only. RabbitMQ dead-letters only to queues of ours, which refuse nothing: it would wait for a queue that
refuses, with all other messages of the level.
The last hop is a worker's (gateway/consuming/due_retries.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from delivery import copies, scheduled
from delivery.delays import levels
from domain.names import MAX_BYTES
from gateway.amqp.declaring import Declaration, bind, exchange, fanout, queue

DUE = "workerrmq.due"
"""Retries whose delay is over, until a worker puts them back into their queues."""
OVERDUE = "workerrmq.overdue"
"""Retries that their queues refused; they are due again after a while."""
ORPHANS = "workerrmq.orphans"

_LEVEL = "workerrmq.delay."
_OLD_RUNG = "workerrmq.retry."
"""Queues of the retry ladder of earlier versions. They expire by themselves."""
OLD_ORPHANED = "workerrmq.orphaned"
"""The classic queue of orphans of those versions, and its fanout exchange; see gateway/amqp/migration.py."""
_SCHEDULED = "workerrmq.scheduled."
_WAITING = _LEVEL, _SCHEDULED, _OLD_RUNG
NO_LEVEL = f"^(?!{'|'.join(map(re.escape, _WAITING))}|{re.escape(DUE)}$|{re.escape(OVERDUE)}$)"
"""A regular expression for the names of all queues except those where messages wait for their time."""
_DEAD_LETTERS = ".dlq"


class Kind(NamedTuple):
    """What waits in the levels. `queues` is how the names of its queues begin, `mark` the header by which a level takes
    a message of this kind."""

    queues: str
    mark: Callable[[int], str]


RETRIES = Kind(_LEVEL, copies.level_header)
SCHEDULED = Kind(_SCHEDULED, scheduled.level_header)


def level_name(level: int) -> str:
    """The name of a level's exchange and of its queue; below level 0 is the exchange that leads back."""
    return f"{_LEVEL}{level}" if level >= 0 else DUE


def entrance(delay: int) -> str:
    """The exchange by which a message enters the levels for `delay` seconds; for 0 it passes them by."""
    return level_name(levels(delay)[0]) if delay else DUE


def due(arguments: Mapping[str, Any]) -> Declaration:
    """The queue of retries whose delay is over, which every level needs. `arguments` as `quorum_arguments` gives them,
    here and below."""
    return (yield from _behind(DUE, arguments))


def overdue(arguments: Mapping[str, Any], again: float) -> Declaration:
    """The queue of retries that were refused. They are due again after `again` seconds."""
    return (yield from _behind(OVERDUE, {**arguments, **_waiting(again, DUE)}))


def orphans(arguments: Mapping[str, Any]) -> Declaration:
    """The queue of messages whose source queue has gone."""
    return (yield from _behind(ORPHANS, arguments))


def _behind(name: str, arguments: Mapping[str, Any]) -> Declaration:
    """A fanout exchange with a queue of the same name, which keeps the routing key: the name of the source queue."""
    yield from fanout(name)
    made = yield from queue(name, arguments)
    yield bind(name, name)
    return made


def _waiting(seconds: float, then: str) -> dict[str, Any]:
    """The arguments of a queue that keeps each message for a time, and dead-letters it to the exchange `then`."""
    return {
        "x-message-ttl": round(seconds * 1000),
        "x-dead-letter-exchange": then,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",  # at-least-once dead-lettering requires it
    }


def level_queue(kind: Kind, level: int) -> str:
    """The queue of a level, from 0, where messages of that kind wait."""
    return f"{kind.queues}{level}"


def level(kind: Kind, number: int, arguments: Mapping[str, Any]) -> Declaration:
    """One delay level for messages of a kind; the one below must be there."""
    name, below, waiting = level_name(number), level_name(number - 1), level_queue(kind, number)
    yield from exchange(name, "headers", {"alternate-exchange": below})
    made = yield from queue(waiting, {**arguments, **_waiting(1 << number, below)})
    yield bind(waiting, name, arguments={"x-match": "all", kind.mark(number): True})
    return made


def dead_letters(name: str, arguments: Mapping[str, Any]) -> Declaration:
    """A dead-letter queue of ours. One that exists is taken as it is."""
    return (yield from queue(name, arguments))


def quorum_arguments(server: Mapping[str, Any]) -> dict[str, Any]:
    """Of a quorum queue that drops no message, for a broker with these server properties.

    RabbitMQ drops a message that was returned 20 times, from 4.0 on; -1 rules that out. Before 4.0 there is no limit,
    and -1 drops a message at its first return (https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling).
    """
    major = str(server.get("version", "")).partition(".")[0]
    unlimited = server.get("product") != "RabbitMQ" or (major.isdigit() and int(major) >= 4)
    return {"x-queue-type": "quorum", **({"x-delivery-limit": -1} if unlimited else {})}


def classic_arguments() -> dict[str, Any]:
    """Of a classic queue. The type is always named, because a virtual host may have another default."""
    return {"x-queue-type": "classic"}


def holds_delayed(queue_name: str) -> bool:
    """Whether messages wait for their time in a queue of that name, or for a worker after it."""
    return queue_name.startswith(_WAITING) or holds_due(queue_name)


def scheduled_level(queue_name: str) -> int | None:
    """The level of a queue where scheduled messages wait; None for any other queue."""
    number = queue_name.removeprefix(_SCHEDULED)
    return int(number) if number != queue_name and number.isascii() and number.isdecimal() else None


def holds_due(queue_name: str) -> bool:
    """Whether the messages in a queue of that name have waited long enough."""
    return queue_name in (DUE, OVERDUE)


def dead_letter_queue(queue_name: str) -> str:
    """The name of the dead-letter queue that we make for a queue that has none: `<queue>.dlq`, within 255 bytes."""
    return queue_name.encode()[: MAX_BYTES - len(_DEAD_LETTERS)].decode(errors="ignore") + _DEAD_LETTERS


def is_dead_letter_queue(queue_name: str) -> bool:
    """Whether a queue of that name is one where we put messages that cannot be delivered."""
    return queue_name.endswith(_DEAD_LETTERS) or queue_name in (ORPHANS, OLD_ORPHANED)

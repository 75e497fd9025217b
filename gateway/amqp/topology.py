"""What the service keeps in the broker for itself: the delay levels, the way back from them, dead-letter queues.

                  bit n set                       after 2^n s
  copy ─▶ (delay.n) ──────▶ [workerrmq.delay.n] ──────────────┐
             │ bit n not set (alternate exchange)             │
             ▼                                                │
          (delay.n-1) ◀───────────────────────────────────────┘
             ┆
          (delay.0) ─▶ (workerrmq.due) ─▶ the source queue
                             │ no such queue any more (alternate exchange)
                             └─▶ (workerrmq.orphans) ─▶ [workerrmq.orphans]

A level is a headers exchange and a queue of the same name, `workerrmq.delay.n`. All consumers share the levels. They
never expire. They are quorum queues with at-least-once dead-lettering, so that no message is lost between two queues
(https://www.rabbitmq.com/docs/quorum-queues#dead-lettering) and none lives on one node only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from delivery.copies import level_header
from delivery.delays import levels
from domain.names import MAX_BYTES
from gateway.amqp.declaring import Declaration, bind, exchange, queue

DUE = "workerrmq.due"
ORPHANS = "workerrmq.orphans"

_LEVEL = "workerrmq.delay."
_OLD_RUNG = "workerrmq.retry."
"""Queues of the retry ladder of earlier versions. They expire by themselves."""
OLD_ORPHANED = "workerrmq.orphaned"
"""The classic queue of orphans of those versions, and its fanout exchange; see gateway/amqp/migration.py."""
NO_LEVEL = "^(?!" + re.escape(_LEVEL) + "|" + re.escape(_OLD_RUNG) + ")"
"""A regular expression for the names of all queues except those where retries wait."""
_DEAD_LETTERS = ".dlq"


def level_name(level: int) -> str:
    """The name of a level's exchange and of its queue; below level 0 is the exchange that leads back."""
    return f"{_LEVEL}{level}" if level >= 0 else DUE


def entrance(delay: int) -> str:
    """The exchange by which a message enters the levels for `delay` seconds."""
    return level_name(levels(delay)[0])


def exchanges() -> Declaration:
    """The exchanges that every consumer needs. An exchange lives on all nodes."""
    yield from exchange(DUE, "direct", {"alternate-exchange": ORPHANS})
    yield from exchange(ORPHANS, "fanout")


def orphans(arguments: Mapping[str, Any]) -> Declaration:
    """The queue of messages whose source queue has gone. `arguments` as `quorum_arguments` gives them."""
    yield from exchange(ORPHANS, "fanout")
    yield from queue(ORPHANS, arguments)
    yield bind(ORPHANS, ORPHANS)


def level(number: int, arguments: Mapping[str, Any]) -> Declaration:
    """One delay level; the one below must be there. `arguments` as `quorum_arguments` gives them."""
    name, below = level_name(number), level_name(number - 1)
    yield from exchange(name, "headers", {"alternate-exchange": below})
    waiting = {
        "x-message-ttl": 1000 << number,
        "x-dead-letter-exchange": below,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",  # at-least-once dead-lettering requires it
    }
    yield from queue(name, {**arguments, **waiting})
    yield bind(name, name, arguments={"x-match": "all", level_header(number): True})


def dead_letters(name: str, arguments: Mapping[str, Any]) -> Declaration:
    """A dead-letter queue of ours. One that exists is taken as it is."""
    yield from queue(name, arguments)


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


def holds_retries(queue_name: str) -> bool:
    """Whether retries wait in a queue of that name."""
    return queue_name.startswith((_LEVEL, _OLD_RUNG))


def dead_letter_queue(queue_name: str) -> str:
    """The name of the dead-letter queue that we make for a queue that has none: `<queue>.dlq`, within 255 bytes."""
    return queue_name.encode()[: MAX_BYTES - len(_DEAD_LETTERS)].decode(errors="ignore") + _DEAD_LETTERS


def is_dead_letter_queue(queue_name: str) -> bool:
    """Whether a queue of that name is one where we put messages that cannot be delivered."""
    return queue_name.endswith(_DEAD_LETTERS) or queue_name in (ORPHANS, OLD_ORPHANED)

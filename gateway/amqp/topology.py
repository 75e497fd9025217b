"""What the service keeps in the broker for itself: the retry ladder, the way back from it, dead-letter queues.

                             ┌─ workerrmq.retry.5s ──┐ after 5 s
  copy ─▶ workerrmq.retry ───┼─ workerrmq.retry.30s ─┼──▶ workerrmq.return ──▶ the source queue
          (by delay)         └─ …                    ┘        │ no such queue any more
                                                              └─▶ workerrmq.orphaned

The rungs are shared by all consumers. They are quorum queues with at-least-once dead-lettering, so that a message is
not lost between two queues (https://www.rabbitmq.com/docs/quorum-queues#dead-lettering), and they expire when unused.
"""

from __future__ import annotations

import re
from typing import Any

from delivery.copies import DELAY
from domain.names import MAX_BYTES

RETRY = "workerrmq.retry"
RETURN = "workerrmq.return"
ORPHANED = "workerrmq.orphaned"

_RUNG = f"{RETRY}."
NO_RUNG = "^(?!" + re.escape(_RUNG) + ")"
"""A regular expression for the names of all queues but the ladder's."""
_DEAD_LETTERS = ".dlq"
_LEASE = 600
"""Seconds that a rung outlives its last message: a queue expires with what is in it, so never before."""
_REDECLARE = 120
"""Seconds after which a rung in use is declared again, which renews its lease."""


def declare_base(channel: Any) -> None:
    """Declare all but the rungs, without waiting; what the broker refuses closes `channel` and says why."""
    quiet: dict[str, Any] = {"durable": True, "callback": None}
    channel.exchange_declare(RETRY, "headers", **quiet)
    channel.exchange_declare(RETURN, "direct", arguments={"alternate-exchange": ORPHANED}, **quiet)
    channel.exchange_declare(ORPHANED, "fanout", **quiet)
    channel.queue_declare(ORPHANED, **quiet)
    channel.queue_bind(ORPHANED, ORPHANED, callback=None)


class Ladder:
    """The rungs, on the channel that publishes to them: the broker works in that order.

    Those of the consumers that run are kept declared, so that a rung is seldom younger than what is put on it: a quorum
    queue of RabbitMQ 3.10 does not survive a kill in its first second. Others are declared as they are needed.
    """

    def __init__(self) -> None:
        self._channel: Any = None
        self._kept: frozenset[int] = frozenset()
        self._declared: dict[int, float] = {}
        self._moved: dict[int, int] = {}  # a delay whose rung does not answer → the one beside it

    def on_channel(self, channel: Any, now: float) -> None:
        """Use `channel` from now on; what a lost one declared may be gone. `now` in seconds, of any steady clock."""
        self._channel, self._declared = channel, {}
        declare_base(channel)
        self.keep(self._kept, now)

    def keep(self, delays: frozenset[int], now: float) -> None:
        """Keep the rungs of these delays (milliseconds); to be called every minute or so. Others expire."""
        self._kept = delays
        for delay in delays:
            self.ensure(delay, now)

    def ensure(self, delay: int, now: float) -> int:
        """The delay of the rung to use for `delay`, which is there when the next message comes by this channel."""
        delay = self._moved.get(delay, delay)
        if self._channel is None or not self._channel.is_open:
            return delay  # what is published without it comes back, and finds the next channel
        if now < self._declared.get(delay, float("-inf")) + _REDECLARE:
            return delay
        self._declared[delay] = now
        name = f"{_RUNG}{delay / 1000:.10g}s"
        arguments = {
            "x-queue-type": "quorum",
            "x-message-ttl": delay,
            "x-expires": delay + _LEASE * 1000,
            "x-dead-letter-exchange": RETURN,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }
        self._channel.queue_declare(name, durable=True, arguments=arguments, callback=None)
        self._channel.queue_bind(name, RETRY, arguments={"x-match": "all", DELAY: str(delay)}, callback=None)
        return delay

    def forget(self) -> None:
        """A rung was not there after all: declare all of them anew."""
        self._declared.clear()

    def avoid(self, delay: int) -> None:
        """The rung of `delay` takes messages and never confirms them: use one a millisecond longer from now on."""
        if delay not in self._moved:
            self._moved[delay] = delay + 1


def is_rung(queue: str) -> bool:
    """Whether a queue of that name is the ladder's."""
    return queue.startswith(_RUNG)


def dead_letter_queue(queue: str) -> str:
    """The name of the dead-letter queue that we make for a queue that has none: `<queue>.dlq`, within 255 bytes."""
    return queue.encode()[: MAX_BYTES - len(_DEAD_LETTERS)].decode(errors="ignore") + _DEAD_LETTERS


def is_dead_letter_queue(queue: str) -> bool:
    """Whether a queue of that name is one where we put what cannot be delivered."""
    return queue.endswith(_DEAD_LETTERS) or queue == ORPHANED

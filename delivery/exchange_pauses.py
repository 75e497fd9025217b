"""Decides when an exchange gets another copy after it refused one.

The broker refuses a message if one of the queues that it is routed to refuses it, although the others have it
(https://www.rabbitmq.com/docs/confirms#when-publishes-are-confirmed). Each further copy is a duplicate in those.
"""

from __future__ import annotations

from dataclasses import dataclass

from cachetools import LRUCache

from domain.errors import BrokerTimeout, PublishRefused, Unwritable, WorkerError
from domain.message import Message
from domain.names import OWN

_REMEMBERED = 4096
"""Number of pauses that are kept."""


@dataclass(slots=True)
class _Pause:
    reason: str
    seconds: float
    until: float


class ExchangePauses:
    """The pauses of a thread, by exchange and routing key. `now` is in seconds of a monotonic clock.

    After a refusal, one copy is published after `shortest` seconds, and the next after twice as long each time, at most
    `longest`. An accepted message ends the pause. The default exchange and the service's own exchanges have no pauses:
    each of their messages is routed to one queue.
    """

    def __init__(self, shortest: float, longest: float) -> None:
        self._shortest, self._longest = shortest, longest
        self._pauses: LRUCache[tuple[str, str], _Pause] = LRUCache(_REMEMBERED)

    def objection(self, message: Message, now: float) -> PublishRefused | None:
        """Return the last refusal if a message must wait; None if it must be published now."""
        pause = self._pauses.get(_place(message))
        if pause is None:
            return None
        if now < pause.until:
            return PublishRefused(pause.reason)
        pause.seconds = min(self._longest, 2 * pause.seconds)
        pause.until = now + pause.seconds
        return None

    def answered(self, message: Message, error: WorkerError | None, now: float) -> None:
        """Record the broker's answer to a message, or that there was none in time."""
        place = _place(message)
        if error is None:
            self._pauses.pop(place, None)
        elif _may_be_stored(error) and message.exchange and not message.exchange.startswith(OWN):
            pause = self._pauses.setdefault(place, _Pause("", self._shortest, now + self._shortest))
            pause.reason = error.detail


def _place(message: Message) -> tuple[str, str]:
    return message.exchange, message.routing_key


def _may_be_stored(error: WorkerError) -> bool:
    """Return whether some queues may have a message that the exchange did not accept."""
    return isinstance(error, PublishRefused | BrokerTimeout) and not isinstance(error, Unwritable)

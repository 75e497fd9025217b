"""Publishes due messages to queues and exchanges, and notices those that do not answer."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from cachetools import LRUCache

from delivery.exchange_pauses import ExchangePauses
from delivery.periods import Periods
from domain.errors import BrokerTimeout, PublishUnconfirmed, WorkerError
from domain.message import Message
from gateway.amqp.confirm_channel import Done, destination
from gateway.amqp.declaring import Refused, declare, look_for
from gateway.amqp.publisher import Publisher
from gateway.loop import Loop

_SHARE = 30
"""Maximum number of unconfirmed messages for one place. At 32 for a quorum queue without a leader, RabbitMQ stops
reading from the connection (`quorum_commands_soft_limit`), so that no other message is confirmed."""
_REMEMBERED = 4096
"""Number of places whose state is kept."""


class _Parcel(NamedTuple):
    message: Message
    done: Done
    wanted: Callable[[], bool]
    arrived: float


class Places:
    """All places of a thread. Owned by the loop's thread."""

    def __init__(self, loop: Loop, publisher: Publisher, periods: Periods, pauses: ExchangePauses) -> None:
        self.loop, self.publisher, self.periods, self.pauses = loop, publisher, periods, pauses
        self.sent = self.answered = 0
        """numbers of the newest message that was sent, and of the newest that the broker answered"""
        self.working_since = 0.0
        """time since which the broker has been up and not blocked us"""
        self.active: set[Place] = set()
        """places with messages"""
        self._places: LRUCache[tuple[str, str], Place] = LRUCache(_REMEMBERED)
        self._moved = 0
        self._watch()

    def of(self, message: Message) -> Place:
        """Return the place to which a message goes: a queue, or an exchange with any routing key."""
        key = message.exchange, "" if message.exchange else message.routing_key
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = Place(self, *key)
        return place

    def _watch(self) -> None:
        now, moves, self._moved = time.monotonic(), self.answered != self._moved, self.answered
        if not self.publisher.up or self.publisher.blocked is not None:
            self.working_since = now
        for place in list(self.active):
            place.watch(now, moves)
        self.loop.call_later(self.periods.returned / 4, self._watch)


class Place:
    """A queue, by the default exchange, or an exchange.

    It is silent if the broker answers nothing for it in time, although it answers messages that were sent later, or
    answers nothing at all. Then it takes one message per `Periods.return_again`, until it answers in time or
    confirms one.
    """

    def __init__(self, places: Places, exchange: str, queue: str) -> None:
        self._all, self._exchange, self._queue = places, exchange, queue
        self.refusing = False
        """whether it refused its last message"""
        self._looking: list[Callable[[Refused | None], None]] = []
        self._waiting: deque[_Parcel] = deque()
        self._sent: dict[int, _Parcel] = {}  # by number
        self._late: dict[int, _Parcel] = {}  # sent, and given up
        self._since = 0.0  # time of the last sign that it works
        self._share = 1  # maximum number of messages in flight; see `publish`
        self._patience = places.periods.returned
        self._probe_at: float | None = None  # time of the next message while it is silent

    def publish(self, message: Message, done: Done, wanted: Callable[[], bool]) -> None:
        """Publish a message if it is `wanted` when its turn comes. `done` gets the result of Publisher.publish, the
        last refusal if its exchange pauses, or BrokerTimeout if the place is silent; the broker's confirm may follow
        that.

        Until a message is confirmed, only one is in flight: for a quorum queue without a leader, RabbitMQ stops its
        channel for seconds at each message (seen on 4.0.5)."""
        now = time.monotonic()
        if self._probe_at is not None:
            if now < self._probe_at:
                done(self._unconfirmed())
                return
            self._probe_at = now + self._all.periods.return_again
        self._waiting.append(_Parcel(message, done, wanted, now))
        self._all.active.add(self)
        self._send()

    def look(self, connection: Any, found: Callable[[Refused | None], None]) -> None:
        """Check whether the queue exists, once for all callers. `found` gets None or the refusal."""
        self._looking.append(found)
        if len(self._looking) > 1:
            return
        callers = self._looking

        def answered(refused: Refused | None) -> None:
            if self._looking is not callers:
                return
            self._looking = []
            for one in callers:
                self._all.loop.call_later(0, partial(one, refused))

        declare(connection, look_for(self._queue), answered)
        unanswered = Refused(0, f"The broker does not answer whether {self} exists.")
        self._all.loop.call_later(self._all.periods.returned, partial(answered, unanswered))

    def watch(self, now: float, moves: bool) -> None:
        """Give up the messages for which the broker does not answer. `moves` tells whether it answered any message
        since the last call; a message that it has not reached yet is not late."""
        if not self._sent or (moves and next(iter(self._sent)) > self._all.answered):
            self._since = now
        limit = now - self._patience
        if max(self._since, self._all.working_since) < limit:
            self._probe_at = now + self._all.periods.return_again
            self._late |= self._sent
            for parcel in self._sent.values():
                self._all.pauses.answered(parcel.message, self._unconfirmed(), now)
            self._share = 1
            given_up = [*self._sent.values(), *self._waiting]
            self._sent.clear()
            self._waiting.clear()
            # A message that is never confirmed is forgotten with its channel.
            self._all.publisher.renew(self._exchange, self._queue)
        else:
            given_up = []
            while self._waiting and max(self._waiting[0].arrived, self._all.working_since) < limit:
                given_up.append(self._waiting.popleft())
        for parcel in given_up:
            self._all.loop.call_later(0, partial(parcel.done, self._unconfirmed()))
        self._rest()

    def _send(self) -> None:
        while self._waiting and len(self._sent) < min(self._share, _SHARE - len(self._late)):
            parcel = self._waiting.popleft()
            if not parcel.wanted():
                continue
            refusal = self._all.pauses.objection(parcel.message, time.monotonic())
            if refusal is not None:
                self._all.loop.call_later(0, partial(parcel.done, refusal))
                continue
            if not self._sent:
                self._since = time.monotonic()
            self._all.sent = number = self._all.sent + 1
            self._sent[number] = parcel
            self._all.publisher.publish(parcel.message, partial(self._answered, number), partial(self._wanted, number))
        self._rest()

    def _wanted(self, number: int) -> bool:
        parcel = self._sent.get(number)
        if parcel is not None and parcel.wanted():
            return True
        self._take(number)
        return False

    def _answered(self, number: int, error: WorkerError | None) -> None:
        late = number in self._late
        parcel = self._take(number)
        self._all.pauses.answered(parcel.message, error, time.monotonic())
        if not isinstance(error, PublishUnconfirmed):
            self._all.answered = max(self._all.answered, number)
            self._since, self._share = time.monotonic(), _SHARE if error is None else 1
            if error is None or not late:
                self._probe_at = None
            if error is None and late:
                self._patience = self._all.periods.confirm
        if error is None or not late:
            parcel.done(error)

    def _take(self, number: int) -> _Parcel:
        self._all.loop.at_turn_end(self._send)
        return self._sent.pop(number, None) or self._late.pop(number)

    def _rest(self) -> None:
        if not self._sent and not self._waiting:
            self._all.active.discard(self)

    def _unconfirmed(self) -> WorkerError:
        return BrokerTimeout(f"The broker did not confirm a message for {self} in time.")

    def __str__(self) -> str:
        return destination(self._exchange, self._queue) if not self._exchange else f"exchange {self._exchange!r}"

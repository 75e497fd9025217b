"""Decides on which connection a consumer consumes, so that no lost queue stops the consumers of other queues.

RabbitMQ closes the connection that consumes from a quorum queue which it could not recover after a kill -9 (541).
3.10.8 does so at once, 4.0.5 after 65 seconds.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import structlog

from gateway.amqp.link import Link
from gateway.consuming.consumer import Consumer
from gateway.loop import Loop

log = structlog.get_logger("workerrmq.delivery")

NewLink = Callable[[Callable[[Any], None], Callable[[str], None]], Link]
"""Called with `on_up` and `on_down`; see Link."""

_POLL = 0.002
"""Interval, in seconds, for checking whether a suspect got its answer; only while suspects subscribe."""


def unusable(queue: str, after: str = "create it again") -> str:
    """Return why a queue cannot be consumed from, and what to do. `after` says what comes after its deletion."""
    return (
        f"RabbitMQ closes each connection that consumes from {queue!r}, or does not answer; its log says why. If all "
        f"nodes of the queue are up and it has no leader, its messages are lost: delete it, then {after}."
    )


class Isolation:
    """Owned by the loop's thread.

    If the broker closes the shared connection with an error, the suspects are the consumers whose subscription it had
    not answered. If there is only one suspect, it gets a separate connection. Otherwise the suspects subscribe one
    after another on the next shared connection, and a suspect that gets no answer within `patience` seconds gets a
    separate connection, too. So do the other consumers of its queue. A consumer whose separate connection is lost after
    the broker has answered uses the shared one again.
    """

    def __init__(self, loop: Loop, new_link: NewLink, patience: float) -> None:
        self._loop, self._new_link, self._patience = loop, new_link, patience
        self._connection: Any = None  # the shared one
        self._line: deque[Consumer] = deque()  # those that subscribe one after another
        self._asking: list[Consumer] = []  # those whose answers the first in line waits for
        self._suspect: Consumer | None = None  # the last one that was first in line
        self._queues: set[str] = set()  # queues whose consumers do not share a connection
        self._own: dict[Consumer, Link] = {}
        self._left: list[Link] = []

    @property
    def links(self) -> tuple[Link, ...]:
        """The connections of isolated consumers, those being closed included."""
        return *self._own.values(), *self._left

    def connected(self, connection: Any, consumers: Iterable[Consumer]) -> None:
        """Let all consumers consume on the shared connection, unless they are isolated."""
        self._connection, self._suspect = connection, None
        self._asking = [one for one in consumers if one not in self._own and one not in self._line]
        for consumer in self._asking:
            consumer.connected(connection)
        self._next(connection, time.monotonic() + self._patience)

    def disconnected(self, reason: str, consumers: Iterable[Consumer]) -> None:
        """Disconnect the consumers of the shared connection, and isolate the one that caused the loss, if any."""
        self._connection = None
        shared = [one for one in consumers if one not in self._own]
        suspects = [one for one in shared if one.intake.crashed and one not in self._line]
        self._line = deque(dict.fromkeys((*suspects, *self._line)))
        for suspect in suspects:
            suspect.intake.crashed = False  # the next loss may have another cause
        for consumer in shared:
            consumer.disconnected(f"the broker is not connected: {reason}")
        if len(suspects) == 1 and suspects[0] in self._line:  # not if the loss was the end of its drain
            self._isolate(suspects[0])

    def join(self, consumer: Consumer) -> None:
        """Let a new consumer consume."""
        if consumer.subscription.spec.queue_name in self._queues:
            self._separate(consumer)
        elif self._line:
            self._line.append(consumer)
        elif self._connection is not None:
            consumer.connected(self._connection)

    def leave(self, consumer: Consumer) -> None:
        """Forget a consumer that has drained."""
        self._left = [link for link in self._left if not link.closed]
        if consumer in self._line:
            self._line.remove(consumer)
        if consumer is self._suspect:
            self._suspect = None
        if link := self._own.pop(consumer, None):
            link.close()
            self._left.append(link)
            if not consumer.intake.crashed:
                self._queues.discard(consumer.subscription.spec.queue_name)

    def _next(self, connection: Any, latest: float) -> None:
        """Let the first in line subscribe when the broker has answered all before, or has not in time."""
        if connection is not self._connection or not (self._line or self._suspect):
            return
        self._loop.call_later(_POLL, lambda: self._next(connection, latest))
        self._asking = [one for one in self._asking if one.intake.asking]
        if not self._asking or time.monotonic() > latest:
            if self._suspect and self._suspect in self._asking:
                self._isolate(self._suspect)
            self._suspect = self._line.popleft() if self._line else None
            if self._suspect:
                self._asking, latest = [self._suspect], time.monotonic() + self._patience
                self._suspect.connected(connection)

    def _isolate(self, culprit: Consumer) -> None:
        """Give a separate connection to a consumer whose queue cannot be consumed from, and to those in line that
        consume from the same queue."""
        queue = culprit.subscription.spec.queue_name
        self._queues.add(queue)
        log.error("queue_unusable", reason=unusable(queue), **culprit.subscription.spec.who)
        others = [one for one in self._line if one is not culprit and one.subscription.spec.queue_name == queue]
        for consumer in (culprit, *others):
            if consumer in self._line:
                self._line.remove(consumer)
            consumer.intake.crashed = True  # until the broker answers
            self._separate(consumer)

    def _separate(self, consumer: Consumer) -> None:
        reason = unusable(consumer.subscription.spec.queue_name)

        def up(connection: Any) -> None:
            consumer.connected(connection, reason if consumer.intake.crashed else None)

        def down(why: str) -> None:
            crashed = consumer.intake.crashed
            consumer.disconnected(reason if crashed else f"the broker is not connected: {why}")
            if not crashed and consumer in self._own:
                self.leave(consumer)
                self.join(consumer)

        self._own[consumer] = link = self._new_link(up, down)
        if consumer.intake.crashed:
            consumer.disconnected(reason)
        if consumer in self._own:  # it may have waited for the end of its subscription to leave
            link.open()

"""Samples all queues and compares the samples: finds queues that grow, and messages that RabbitMQ should have
dead-lettered but has not."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from domain.overview import Growth, QueueOutline, QueuesSeen
from gateway.amqp.topology import holds_delayed

_LEAST = 4
"""The least number of samples from which growth is judged."""


class _Look(NamedTuple):
    at: float
    """monotonic time in seconds"""
    backlog: int
    dead_lettering: int | None


class QueueWatch:
    """Thread-safe. Keeps about `growing / overdue` × 3 samples per queue. Each process has its own instance."""

    def __init__(
        self,
        read: Callable[[], list[QueueOutline]],
        *,
        growing: float = 60.0,
        overdue: float = 10.0,
        least_backlog: int = 100,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Report a queue as growing when it has more than `least_backlog` messages and has grown for `growing` seconds.
        Report messages as stuck when they stay for `overdue` seconds, which must not exceed `growing`. `read` returns
        the queues and may raise BrokerUnavailable."""
        self._read, self._clock = read, clock
        self._growing, self._overdue, self._least_backlog = growing, overdue, least_backlog
        self._lock = threading.Lock()
        self._looks: dict[str, deque[_Look]] = {}
        self._grown: set[str] = set()

    def look(self) -> QueuesSeen:
        """Sample all queues and return the findings. Raises BrokerUnavailable."""
        queues = self._read()
        with self._lock:
            now = self._clock()
            self._looks = {queue.name: self._remembered(queue, now) for queue in queues}
            self._grown = {queue.name for queue in queues if self._grows(queue)}
            return QueuesSeen(
                queues=queues,
                growing={name: _growth(self._looks[name]) for name in self._grown},
                stuck=self._stuck(queues, now),
            )

    def _remembered(self, queue: QueueOutline, now: float) -> deque[_Look]:
        """Return the samples of one `growing` period, or the last few if calls are rare. Drop samples that are too
        close."""
        looks = self._looks.get(queue.name, deque())
        if looks and now - looks[-1].at > 5 * self._growing:
            looks.clear()
        if len(looks) > 1 and now - looks[-2].at < min(self._overdue, self._growing / _LEAST) / 3:
            looks.pop()
        looks.append(_Look(now, queue.ready + queue.unacked, _dead_lettering(queue)))
        while len(looks) > _LEAST and looks[1].at <= now - self._growing:
            looks.popleft()
        return looks

    def _grows(self, queue: QueueOutline) -> bool:
        """Return whether the queue grew from each third of the period to the next. A growing queue keeps that status,
        despite pauses or small drops, while it holds more messages than one period ago."""
        looks = self._looks[queue.name]
        backlog = [look.backlog for look in looks]
        if len(looks) < _LEAST or looks[-1].at - looks[0].at < self._growing or backlog[-1] <= self._least_backlog:
            return False
        if queue.name in self._grown:
            return backlog[-1] > backlog[0]
        third = len(backlog) // 3
        first, second, last = backlog[:third], backlog[third:-third], backlog[-third:]
        never_less = max(first) <= min(second) and max(second) <= min(last)
        return never_less and max(first) < max(second) < max(last)

    def _stuck(self, queues: list[QueueOutline], now: float) -> dict[str, int | None]:
        """Return the number of stuck messages per queue, or None if RabbitMQ does not report it. Dead-lettering takes
        milliseconds, so a busy queue always has some messages in progress: up to one second's throughput is not stuck.
        The publish rates of the delay levels count each message once, where it enters."""
        delayed_per_second = sum(queue.publish_rate for queue in queues if holds_delayed(queue.name))
        found: dict[str, int | None] = {}
        for queue in queues:
            counts = _in_last(self._looks[queue.name], now - self._overdue)
            known = [count for count in counts if count is not None]
            passing = delayed_per_second if holds_delayed(queue.name) else queue.publish_rate
            if counts and not known:
                found[queue.name] = None
            elif known and min(known) > passing:
                found[queue.name] = min(known)
        return found


def _dead_lettering(queue: QueueOutline) -> int | None:
    """Return the number of messages being dead-lettered; None only for a delay level whose number is unknown."""
    if queue.dead_lettering is None and not holds_delayed(queue.name):
        return 0
    return queue.dead_lettering


def _in_last(looks: deque[_Look], since: float) -> list[int | None]:
    """Return the counts of the samples since `since` and of the last one before; none if no sample is that old."""
    found = []
    for look in reversed(looks):
        found.append(look.dead_lettering)
        if look.at <= since:
            return found
    return []


def _growth(looks: deque[_Look]) -> Growth:
    return Growth(looks[-1].backlog - looks[0].backlog, looks[-1].at - looks[0].at)

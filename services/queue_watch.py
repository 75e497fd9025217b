"""Looks at all queues, and remembers what earlier looks saw: which queues grow, and where messages stay that RabbitMQ
should have dead-lettered."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from domain.overview import Growth, QueueOutline, QueuesSeen
from gateway.amqp.topology import holds_delayed

_LEAST = 4
"""Looks by which growth is judged, at the least."""


class _Look(NamedTuple):
    at: float
    """seconds of the monotonic clock"""
    backlog: int
    dead_lettering: int | None


class QueueWatch:
    """Thread-safe. Memory: about `growing / overdue` × 3 looks for each queue. Each process has its own."""

    def __init__(
        self,
        read: Callable[[], list[QueueOutline]],
        *,
        growing: float = 60.0,
        overdue: float = 10.0,
        least_backlog: int = 100,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A queue of more than `least_backlog` messages grows when it has done so for `growing` seconds. Messages are
        stuck when they have stayed for `overdue` seconds, which are not more than `growing`. `read` raises
        BrokerUnavailable."""
        self._read, self._clock = read, clock
        self._growing, self._overdue, self._least_backlog = growing, overdue, least_backlog
        self._lock = threading.Lock()
        self._looks: dict[str, deque[_Look]] = {}
        self._grown: set[str] = set()

    def look(self) -> QueuesSeen:
        """Look at all queues. Raises BrokerUnavailable."""
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
        """The looks of one `growing` period, or the last few where looks are rare; not more often than needed."""
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
        """Whether it grew from each third of the period to the next. It goes on to grow, in spite of a pause or a few
        messages less, as long as it holds more than a period ago."""
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
        """A dead letter is under way for some milliseconds, so where many pass there are always some: at most as many
        as pass in a second are not stuck. RabbitMQ counts what enters the delay levels, not what goes from one to the
        next."""
        retries_per_second = sum(queue.publish_rate for queue in queues if holds_delayed(queue.name))
        found: dict[str, int | None] = {}
        for queue in queues:
            counts = _in_last(self._looks[queue.name], now - self._overdue)
            known = [count for count in counts if count is not None]
            passing = retries_per_second if holds_delayed(queue.name) else queue.publish_rate
            if counts and not known:
                found[queue.name] = None
            elif known and min(known) > passing:
                found[queue.name] = min(known)
        return found


def _dead_lettering(queue: QueueOutline) -> int | None:
    """None only where a number is expected: of a delay level."""
    if queue.dead_lettering is None and not holds_delayed(queue.name):
        return 0
    return queue.dead_lettering


def _in_last(looks: deque[_Look], since: float) -> list[int | None]:
    """What was seen from the last look before `since` on; empty when there is none so old."""
    found = []
    for look in reversed(looks):
        found.append(look.dead_lettering)
        if look.at <= since:
            return found
    return []


def _growth(looks: deque[_Look]) -> Growth:
    return Growth(looks[-1].backlog - looks[0].backlog, looks[-1].at - looks[0].at)

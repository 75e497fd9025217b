"""Looks into dead-letter queues: groups dead letters by cause, and exports them. The messages stay where they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from delivery.copies import Source
from domain.dead_letter import MAX_EXAMINED, Cause, DeadLetterGroup, DeadLetters, cause_of, died_at
from domain.held_message import HeldMessage
from domain.replay import DeadLetterFilter
from gateway.amqp.held_messages import HeldMessages
from services.single_flight import SingleFlight

_MOST_GROUPS = 100
_WHOLE = 2**31
"""More bytes than a body can have."""


class DeadLetterLooks:
    """Thread-safe. Simultaneous looks of one process into the same queue are one."""

    def __init__(self, held: HeldMessages, *, recent: timedelta = timedelta(minutes=1)) -> None:
        """The rate of a group is that of the last `recent`."""
        self._held, self._recent = held, recent
        self._looks: SingleFlight[DeadLetters] = SingleFlight()

    def groups(self, queue: str, most: int) -> DeadLetters:
        """Return the groups of the first `most` dead letters, and the 100 largest of them at most. Raises NotFound,
        Locked, Invalid for a stream, and BrokerUnavailable."""
        return self._looks.call(f"{most} {queue}", lambda: self._grouped(queue, most))

    def export(self, queue: str, wanted: DeadLetterFilter) -> Iterator[HeldMessage]:
        """Return the matching dead letters with their whole bodies, of the first MAX_EXAMINED in the queue and up to 64
        MiB. Raises the errors of `groups`."""
        return iter(self._held.get(queue, MAX_EXAMINED, "peek", _WHOLE, wanted))

    def _grouped(self, queue: str, most: int) -> DeadLetters:
        groups: dict[str, _Group] = {}

        def see(source: Source) -> None:
            headers = source.properties.headers or {}
            cause = cause_of(headers)
            groups.setdefault(cause.group, _Group(cause)).add(died_at(headers))

        total, examined = self._held.examine(queue, most, see)
        now = datetime.now(UTC)
        recent = self._recent if examined == total else None  # the latest are at the end of the queue
        largest = sorted(groups.values(), key=lambda group: -group.count)
        return DeadLetters(
            dead_letter_queue=queue,
            messages=total,
            examined=examined,
            at=now,
            groups=[group.shown(now, recent) for group in islice(largest, _MOST_GROUPS)],
        )


class _Group:
    def __init__(self, cause: Cause) -> None:
        self._cause = cause
        self.count = 0
        self._times: Counter[datetime] = Counter()

    def add(self, died: datetime | None) -> None:
        self.count += 1
        if died is not None:
            self._times[died] += 1

    def shown(self, now: datetime, recent: timedelta | None) -> DeadLetterGroup:
        late = None if recent is None else sum(count for at, count in self._times.items() if now - at < recent)
        cause = self._cause._asdict()
        return DeadLetterGroup(
            group=self._cause.group,
            count=self.count,
            queue_name=cause.pop("queue"),
            **cause,
            since=min(self._times, default=None),
            latest=max(self._times, default=None),
            per_second=None if late is None or recent is None else round(late / recent.total_seconds(), 2),
        )

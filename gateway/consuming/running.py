"""The consumers that run in a process: which they are, and those that finish what they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import structlog

from delivery.backoff import longest_delay
from domain.registry import Report, Subscription
from gateway.consuming.consumer import Consumer
from gateway.consuming.wiring import Wiring

log = structlog.get_logger("workerrmq.delivery")


def _place(subscription: Subscription) -> tuple[object, ...]:
    """Return what a consumer keeps all its life. If it differs, another consumer starts when the first has left."""
    return subscription.spec.queue_name, subscription.spec.ordering


def _same(old: Subscription, new: Subscription) -> bool:
    return (new.revision, new.queue, new.share) == (old.revision, old.queue, old.share)


class RunningConsumers:
    """Owned by the loop's thread. `left` is called when a consumer has finished what it held, and is gone."""

    def __init__(self, wiring: Wiring, left: Callable[[], None]) -> None:
        self._wiring, self._left = wiring, left
        self._connection: Any = None
        self._consumers: dict[str, Consumer] = {}
        self._leaving: set[Consumer] = set()
        self._invalid: dict[str, tuple[Subscription, Report]] = {}
        self._longest_delay = 0

    def __iter__(self) -> Iterator[Consumer]:
        """Iterate over those that run and those that are leaving."""
        yield from self._consumers.values()
        yield from self._leaving

    @property
    def leaving(self) -> bool:
        """Whether one still finishes what it holds."""
        return bool(self._leaving)

    @property
    def losses(self) -> int:
        """How often the consumers have lost their queues."""
        return sum(consumer.losses for consumer in self)

    def reports(self) -> tuple[Report, ...]:
        return (*(consumer.report() for consumer in self), *(report for _, report in self._invalid.values()))

    def connected(self, connection: Any) -> None:
        """Let all consumers take messages by this connection."""
        self._connection = connection
        self.keep_levels()
        for consumer in self._consumers.values():
            consumer.connected(connection)

    def disconnected(self, reason: str) -> None:
        self._connection = None
        for consumer in list(self):
            consumer.disconnected(reason)

    def apply(self, desired: Sequence[Subscription]) -> None:
        """Run exactly these: start the new ones, change those that differ, drain those that are not desired."""
        wanted = {subscription.id: subscription for subscription in desired}
        for key, consumer in list(self._consumers.items()):
            new = wanted.get(key)
            if new is None or _place(new) != _place(consumer.subscription):
                self._drain(key)
        self._invalid = {key: refused for key, refused in self._invalid.items() if key in wanted}
        leaving = {consumer.subscription.id for consumer in self._leaving}
        for key, subscription in wanted.items():
            if key not in leaving:
                self._run_one(subscription)
        unordered = (one.subscription.spec.retry for one in self._consumers.values() if not one.dispatcher.ordered)
        longest = max(map(longest_delay, unordered), default=0)
        if longest != self._longest_delay:
            self._longest_delay = longest
            self.keep_levels()

    def keep_levels(self) -> None:
        """Have the delay levels that the consumers use before they are needed."""
        if self._connection is not None and self._longest_delay:
            self._wiring.standing.need_delay(self._longest_delay)

    def drain(self) -> None:
        """Let all finish what they hold, and take no more."""
        for key in list(self._consumers):
            self._drain(key)

    def abandon(self, done: Callable[[], None]) -> int:
        """Return how many messages of the leaving consumers are being copied, because one more return may drop them.
        `done` is called for each copy that is safe."""
        return sum(consumer.abandon(done) for consumer in self._leaving)

    def close(self) -> None:
        """Close the channels of the leaving consumers, with the acks that are due: the broker requeues the rest."""
        for consumer in self._leaving:
            consumer.intake.close("stopped")

    def tell(self) -> None:
        """Tell the instruments what was counted since the last call."""
        for consumer in self:
            consumer.tell()

    def _run_one(self, subscription: Subscription) -> None:
        """Start it, or change the one that runs. If no consumer may take from its queue, report that."""
        key = subscription.id
        consumer, invalid = self._consumers.get(key), self._invalid.get(key)
        before = invalid[0] if invalid else consumer.subscription if consumer else None
        if before and _same(before, subscription):
            return
        self._invalid.pop(key, None)
        facts = subscription.queue
        if facts.unfit and not (consumer and facts.vanishes):  # to leave a queue that vanishes would lose its messages
            self._refuse(subscription, facts.unfit)
        elif consumer is not None:
            consumer.change(subscription)
        else:
            self._consumers[key] = consumer = Consumer(self._wiring, subscription)
            if self._connection is not None:
                consumer.connected(self._connection)

    def _refuse(self, subscription: Subscription, reason: str) -> None:
        """Report a consumer that cannot run as suspended."""
        key, spec = subscription.id, subscription.spec
        if key in self._consumers:
            self._drain(key)
        log.error("consumer_suspended", consumer=spec.name or spec.queue_name, queue=spec.queue_name, reason=reason)
        self._invalid[key] = subscription, Report(key, subscription.revision, "suspended", reason)

    def _drain(self, key: str) -> None:
        consumer = self._consumers.pop(key)
        self._leaving.add(consumer)
        consumer.drain(lambda: self._gone(consumer))

    def _gone(self, consumer: Consumer) -> None:
        consumer.tell()
        self._leaving.discard(consumer)
        self._left()

"""The running consumers of a process, and those that drain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import structlog

from delivery.backoff import longest_delay
from domain.registry import Report, Subscription
from gateway.amqp.link import Link
from gateway.consuming.consumer import Consumer
from gateway.consuming.isolation import Isolation, NewLink
from gateway.consuming.wiring import Wiring

log = structlog.get_logger("workerrmq.delivery")


def _place(subscription: Subscription) -> tuple[object, ...]:
    """Return queue, ordering and batch. If they change, the old consumer drains first, then a new one starts."""
    return subscription.spec.queue_name, subscription.spec.ordering, subscription.spec.batch


def _same(old: Subscription, new: Subscription) -> bool:
    return (new.revision, new.queue, new.share) == (old.revision, old.queue, old.share)


class RunningConsumers:
    """Starts, changes and drains consumers. Owned by the loop's thread. `left` is called after a consumer has
    drained."""

    def __init__(self, wiring: Wiring, new_link: NewLink, left: Callable[[], None]) -> None:
        self._wiring, self._left = wiring, left
        self._isolation = Isolation(wiring.loop, new_link, wiring.periods.declare_again)
        self._connection: Any = None
        self._consumers: dict[str, Consumer] = {}
        self._leaving: set[Consumer] = set()
        self._invalid: dict[str, tuple[Subscription, Report]] = {}
        self._longest_delay = 0

    def __iter__(self) -> Iterator[Consumer]:
        """Iterate over running and draining consumers."""
        yield from self._consumers.values()
        yield from self._leaving

    @property
    def leaving(self) -> bool:
        """Whether any consumer is draining."""
        return bool(self._leaving)

    @property
    def links(self) -> tuple[Link, ...]:
        """The connections that single consumers have."""
        return self._isolation.links

    @property
    def losses(self) -> int:
        """Number of times that the consumers lost their queues."""
        return sum(consumer.losses for consumer in self)

    def reports(self) -> tuple[Report, ...]:
        return (*(consumer.report() for consumer in self), *(report for _, report in self._invalid.values()))

    def connected(self, connection: Any) -> None:
        """Let all consumers consume on this connection, unless they have their own."""
        self._connection = connection
        self.keep_levels()
        self._isolation.connected(connection, self._consumers.values())

    def disconnected(self, reason: str) -> None:
        self._connection = None
        self._isolation.disconnected(reason, list(self))

    def apply(self, desired: Sequence[Subscription]) -> None:
        """Run exactly these consumers: start new ones, change those that differ, drain the others."""
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
        """Declare the delay levels of the consumers before they are needed."""
        if self._connection is not None and self._longest_delay:
            self._wiring.standing.need_delay(self._longest_delay)

    def drain(self) -> None:
        """Drain all consumers."""
        for key in list(self._consumers):
            self._drain(key)

    def abandon(self, done: Callable[[], None]) -> int:
        """Publish copies of the draining consumers' messages that one more return could drop. Return the number of
        copies; `done` is called after the confirm of each."""
        return sum(consumer.abandon(done) for consumer in self._leaving)

    def close(self) -> None:
        """Close the channels of the draining consumers after the outstanding acks; the broker requeues the rest."""
        for consumer in self._leaving:
            consumer.intake.close("stopped")

    def tell(self) -> None:
        """Add the counts since the last call to the instruments."""
        for consumer in self:
            consumer.tell()

    def _run_one(self, subscription: Subscription) -> None:
        """Start a consumer, or change the running one, and let a message probe its target if its breaker is open.
        Report one whose queue is unfit for consumers."""
        key = subscription.id
        consumer, invalid = self._consumers.get(key), self._invalid.get(key)
        before = invalid[0] if invalid else consumer.subscription if consumer else None
        if before and _same(before, subscription):
            return
        self._invalid.pop(key, None)
        facts = subscription.queue
        if facts.unfit and not (consumer and facts.vanishes):  # leaving a queue that vanishes would lose its messages
            self._refuse(subscription, facts.unfit)
        elif consumer is not None:
            consumer.change(subscription)
        else:
            self._consumers[key] = consumer = Consumer(self._wiring, subscription)
            self._isolation.join(consumer)
        if before is None or before.revision != subscription.revision:
            self._wiring.breakers.probe_now(subscription.spec)

    def _refuse(self, subscription: Subscription, reason: str) -> None:
        """Report a consumer that cannot run as suspended."""
        key, spec = subscription.id, subscription.spec
        if key in self._consumers:
            self._drain(key)
        log.error("consumer_suspended", reason=reason, **spec.who)
        self._invalid[key] = subscription, Report(key, subscription.revision, "suspended", reason)

    def _drain(self, key: str) -> None:
        consumer = self._consumers.pop(key)
        self._leaving.add(consumer)
        consumer.drain(lambda: self._gone(consumer))

    def _gone(self, consumer: Consumer) -> None:
        consumer.tell()
        self._isolation.leave(consumer)
        self._leaving.discard(consumer)
        self._left()

"""When a delivery that has arrived may be sent: in the order of its lane, within the rate, after its wait."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any

from delivery.lanes import Lanes, key_function
from delivery.rate import TokenBucket
from domain.registry import Subscription
from gateway.consuming.session import Delivery
from gateway.loop import Loop

_REMEMBERED = 2000
"""Waits that are remembered beyond the loss of a channel, so that a message goes on where it was."""


@dataclass(frozen=True, slots=True)
class _Wait:
    attempt: int
    not_before: float
    first_failed: float
    message_id: str


def _identity(delivery: Delivery) -> Hashable:
    """What tells a message when it comes again, on another channel: its id, or where the publisher gave none its
    content, of which the first in a lane is as good as any other."""
    source = delivery.source
    return delivery.key, source.properties.message_id or (source.routing_key, hash(source.body))


class Dispatcher:
    """Between arrival and request. Owned by the loop's thread.

    Where order matters a failed message waits here, unsettled, and its lane behind it; elsewhere it waits in the delay
    levels, and here is nothing but the rate.
    """

    def __init__(self, loop: Loop, subscription: Subscription, send: Callable[[Delivery], None]) -> None:
        """`send` starts a request."""
        self._loop, self._send = loop, send
        self._key = key_function(subscription.spec.ordering)
        self._lanes: Lanes[Delivery] = Lanes()
        self._ready: deque[Delivery] = deque()
        self._here: dict[int, Delivery] = {}  # arrived and not sent, by tag
        self._held: list[Delivery] = []  # kept back, because their target or their consumer rests
        self._waits: OrderedDict[Hashable, _Wait] = OrderedDict()  # by identity
        self._bucket: TokenBucket | None = None
        self._timer: Any = None  # until there is a token, while what is ready waits for one
        self.sending = 0
        """requests under way, and copies on theirs"""
        self.change_rate(subscription)

    @property
    def ordered(self) -> bool:
        return self._key is not None

    def change_rate(self, subscription: Subscription) -> None:
        """Take up the rate of a new revision, or of another number of workers, also for what waits for its turn."""
        limit, share = subscription.spec.rate_limit, subscription.share
        if limit is None:
            self._bucket = None
        elif self._bucket is None:
            self._bucket = TokenBucket(limit.per_second * share, limit.burst * share, time.monotonic())
        else:
            self._bucket.change(limit.per_second * share, limit.burst * share, time.monotonic())
        if self._timer is not None:
            self._loop.remove_timeout(self._timer)
            self._pump()

    def arrived(self, delivery: Delivery) -> None:
        if self._key is None:
            if self._bucket is None:
                self.sending += 1
                self._send(delivery)
                return
            self._here[delivery.tag] = delivery
            self._offer(delivery)
            return
        delivery.key = self._key(delivery.source.properties.headers, delivery.source.body)
        self._here[delivery.tag] = delivery
        if self._lanes.add(delivery.key, delivery):
            self._go_on(delivery)

    def settled(self, delivery: Delivery) -> None:
        """Its fate is safe; the next of its lane may go."""
        self.sending -= 1
        if self._key is not None:
            if self._waits:
                self._waits.pop(_identity(delivery), None)
            following = self._lanes.finish(delivery.key)
            if following is not None:
                self._go_on(following)

    def given_back(self) -> None:
        """One that was sent goes back with its channel, and how often it was attempted is remembered."""
        self.sending -= 1

    def hold(self, delivery: Delivery) -> None:
        """Keep back one that was to be sent, or was sent and failed, until `release`."""
        self.sending -= 1
        self._held.append(delivery)

    def release(self) -> None:
        """Send what was kept back."""
        held, self._held = self._held, []
        for delivery in held:
            self.sending += 1
            self._send(delivery)

    def wait(self, delivery: Delivery, seconds: float) -> None:
        """Attempt it once more after so long; until then its lane waits. For ordered consumers only."""
        self.sending -= 1
        self._here[delivery.tag] = delivery
        delivery.attempt += 1
        delivery.first_failed = delivery.first_failed or time.time()
        not_before = time.monotonic() + seconds
        wait = _Wait(delivery.attempt, not_before, delivery.first_failed, delivery.source.message_id)
        self._waits[_identity(delivery)] = wait
        if len(self._waits) > _REMEMBERED:
            self._waits.popitem(last=False)
        self._go_on(delivery)

    @property
    def unsent(self) -> Iterable[Delivery]:
        """What has arrived and waits here."""
        return (*self._here.values(), *self._held)

    def drop(self) -> list[Delivery]:
        """Forget what has not been sent; it is to be given back, in this order."""
        dropped = sorted(self.unsent, key=lambda delivery: delivery.tag)
        self._here.clear()
        self._held.clear()
        self._ready.clear()
        self._lanes.clear()
        return dropped

    def lose(self) -> None:
        """The channel is gone, and all that came by it."""
        self.drop()
        self.sending = 0

    def _go_on(self, delivery: Delivery) -> None:
        """Offer the first of a lane, now or when its wait is over, which may be from before the channel was lost."""
        seconds = 0.0
        if self._waits and (wait := self._waits.get(_identity(delivery))):
            delivery.attempt, delivery.first_failed = wait.attempt, wait.first_failed
            delivery.source = delivery.source._replace(message_id=wait.message_id)
            seconds = wait.not_before - time.monotonic()
        if seconds <= 0:
            self._offer(delivery)
        else:
            self._loop.call_later(seconds, lambda: self._due(delivery))

    def _due(self, delivery: Delivery) -> None:
        if self._here.get(delivery.tag) is delivery:
            self._offer(delivery)

    def _offer(self, delivery: Delivery) -> None:
        self._ready.append(delivery)
        if self._timer is None:
            self._pump()

    def _pump(self) -> None:
        self._timer = None
        while self._ready:
            seconds = self._bucket.take(time.monotonic()) if self._bucket else 0.0
            if seconds:
                self._timer = self._loop.call_later(seconds, self._pump)
                return
            delivery = self._ready.popleft()
            del self._here[delivery.tag]
            self.sending += 1
            self._send(delivery)

"""Decides when a delivery is sent: in the order of its lane, within the limits of requests, after its wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from delivery.lanes import Lanes, key_function
from domain.outcome import Answer, Outcome
from domain.registry import Subscription
from gateway.consuming.limits import Limits
from gateway.consuming.session import Delivery
from gateway.consuming.waits import Waits
from gateway.loop import Loop


class Dispatcher:
    """Holds deliveries between arrival and request. Owned by the loop's thread.

    In an ordered consumer a failed message waits here, unsettled, and its lane waits behind it. In other consumers it
    waits in the delay levels, and the dispatcher only limits the requests.
    """

    def __init__(self, loop: Loop, subscription: Subscription, send: Callable[[Delivery], None]) -> None:
        """`send` starts a request."""
        self._loop, self._send = loop, send
        self._key = key_function(subscription.spec.ordering)
        self._lanes: Lanes[Delivery] = Lanes()
        self._ready: deque[Delivery] = deque()
        self._here: dict[int, Delivery] = {}  # arrived and not sent, by tag
        self._held: list[Delivery] = []  # held because their target or their consumer rests
        self._waits = Waits()
        self._limits = Limits(subscription)
        self._timer: Any = None  # runs until there is a token, while ready deliveries wait for one
        self._pumping = False  # because a delivery that is sent may be settled at once, and so cause the next
        self.sending = 0
        """number of requests and copies in flight"""

    @property
    def ordered(self) -> bool:
        return self._key is not None

    def change(self, subscription: Subscription) -> None:
        """Apply the limits of a new revision, or of another number of workers, also to waiting deliveries."""
        self._limits.change(subscription)
        self._again()

    def begin(self, delivery: Delivery) -> None:
        """Note that the request of a delivery begins."""
        self._limits.begin(delivery)

    def answered(self, delivery: Delivery, answer: Answer, outcome: Outcome) -> None:
        """Note that the request of a delivery has ended."""
        if delivery.began is not None:
            self._limits.answered(delivery, answer, outcome)
            if self._ready:
                self._loop.at_turn_end(self._again)

    def not_sent(self, delivery: Delivery) -> None:
        """Note that a request that had begun was not sent, so that another may be."""
        self._limits.drop(delivery)
        self._loop.at_turn_end(self._again)

    def slow_start(self) -> None:
        """Begin with one request, because the target was down."""
        self._limits.slow_start()

    def arrived(self, delivery: Delivery) -> None:
        if self._key is None:
            if not self._limits.any:
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
        """Note that a delivery is settled; send the next one of its lane."""
        self.sending -= 1
        if self._key is not None:
            self._waits.end(delivery)
            following = self._lanes.finish(delivery.key)
            if following is not None:
                self._go_on(following)

    def given_back(self) -> None:
        """Note that a sent delivery returns with its channel. Its wait, with the number of attempts, is kept."""
        self.sending -= 1

    def hold(self, delivery: Delivery) -> None:
        """Hold a delivery that was about to be sent, or was sent and failed, until `release`."""
        self.sending -= 1
        self._limits.drop(delivery)
        self._held.append(delivery)

    def release(self) -> None:
        """Send the held deliveries before the others, within the limits."""
        held, self._held = self._held, []
        self._here.update((delivery.tag, delivery) for delivery in held)
        self._ready.extendleft(reversed(held))
        self._again()

    def wait(self, delivery: Delivery, seconds: float) -> None:
        """Attempt a delivery again after `seconds`; until then its lane waits. For ordered consumers only."""
        self.sending -= 1
        self._here[delivery.tag] = delivery
        self._waits.begin(delivery, seconds)
        self._go_on(delivery)

    @property
    def unsent(self) -> Iterable[Delivery]:
        """The deliveries that have arrived and are not sent."""
        return (*self._here.values(), *self._held)

    def drop(self) -> list[Delivery]:
        """Remove and return all unsent deliveries, in the order in which they must be returned."""
        dropped = sorted(self.unsent, key=lambda delivery: delivery.tag)
        self._here.clear()
        self._held.clear()
        self._ready.clear()
        self._lanes.clear()
        return dropped

    def lose(self) -> None:
        """Forget all deliveries, because their channel is closed."""
        self.drop()
        self.sending = 0

    def _go_on(self, delivery: Delivery) -> None:
        """Offer the first delivery of a lane, now or when its wait is over. The wait may be from an earlier channel."""
        seconds = self._waits.resume(delivery)
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

    def _again(self) -> None:
        if self._timer is not None:
            self._loop.remove_timeout(self._timer)
        self._pump()

    def _pump(self) -> None:
        self._timer = None
        if not self._pumping:
            self._pumping = True
            try:
                self._send_ready()
            finally:
                self._pumping = False

    def _send_ready(self) -> None:
        while self._ready:
            seconds = self._limits.take()
            if seconds is None:
                return
            if seconds:
                self._timer = self._loop.call_later(seconds, self._pump)
                return
            delivery = self._ready.popleft()
            del self._here[delivery.tag]
            self.sending += 1
            self._send(delivery)

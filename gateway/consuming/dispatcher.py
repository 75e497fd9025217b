"""Decides when a delivery is sent: in the order of its lane, within the limits of requests, after its wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from delivery.lanes import Lanes
from domain.registry import Subscription
from gateway.consuming.dispatching import Dispatching
from gateway.consuming.session import Delivery
from gateway.loop import Loop


class Dispatcher(Dispatching):
    """In an ordered consumer a failed message waits here, unsettled, and its lane waits behind it. In other consumers
    it waits in the delay levels, and the dispatcher only limits the requests."""

    def __init__(self, loop: Loop, subscription: Subscription, send: Callable[[Delivery], None]) -> None:
        """`send` starts a request."""
        super().__init__(loop, subscription)
        self._send = send
        self._lanes: Lanes[Delivery] = Lanes()
        self._ready: deque[Delivery] = deque()
        self._here: dict[int, Delivery] = {}  # arrived and not sent, by tag
        self._held: list[Delivery] = []  # held because their target or their consumer rests

    def arrived(self, delivery: Delivery) -> None:
        if self._free:
            self.sending += 1
            self._send(delivery)
            return
        if self._key is None:
            self._here[delivery.tag] = delivery
            self._offer(delivery)
            return
        delivery.key = self._key(delivery.source.properties.headers, delivery.source.body)
        self._here[delivery.tag] = delivery
        if self._lanes.add(delivery.key, delivery):
            self._go_on(delivery)

    def settled(self, delivery: Delivery) -> None:
        self.sending -= 1
        if self._key is not None:
            self._waits.end(delivery)
            following = self._lanes.finish(delivery.key)
            if following is not None:
                self._go_on(following)

    def hold(self, delivery: Delivery) -> None:
        self.sending -= 1
        self._held.append(delivery)

    def release(self) -> None:
        held, self._held = self._held, []
        self._here.update((delivery.tag, delivery) for delivery in held)
        self._ready.extendleft(reversed(held))
        self._pump()

    def again(self, *batches: list[Delivery]) -> None:
        for delivery in (one for batch in reversed(batches) for one in reversed(batch)):
            self.sending -= 1
            self._here[delivery.tag] = delivery
            self._ready.appendleft(delivery)
        self._pump()

    def wait(self, delivery: Delivery, seconds: float) -> None:
        self.sending -= 1
        self._here[delivery.tag] = delivery
        self._waits.begin(delivery, seconds)
        self._go_on(delivery)

    @property
    def unsent(self) -> Iterable[Delivery]:
        return (*self._here.values(), *self._held)

    def drop(self) -> list[Delivery]:
        dropped = sorted(self.unsent, key=lambda delivery: delivery.tag)
        self._here.clear()
        self._held.clear()
        self._ready.clear()
        self._lanes.clear()
        return dropped

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

    def _send_due(self) -> None:
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
            self._limits.begin(delivery)
            self._send(delivery)

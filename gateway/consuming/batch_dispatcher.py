"""Decides when a batch is sent: when it is full or has waited long enough, within the limits of requests, in order."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable

from domain.registry import Subscription
from gateway.consuming.dispatching import Dispatching
from gateway.consuming.session import Delivery
from gateway.loop import Loop


class BatchDispatcher(Dispatching):
    """For a consumer with `batch`. An ordered consumer has one batch in flight. While a failed message waits, no
    message with its key is sent."""

    def __init__(self, loop: Loop, subscription: Subscription, send: Callable[[list[Delivery]], None]) -> None:
        """`send` starts the request of a batch."""
        super().__init__(loop, subscription)
        assert subscription.spec.batch is not None
        self._send, self._batch = send, subscription.spec.batch
        self._waiting: dict[int, Delivery] = {}  # by tag
        self._bytes = 0  # size of the bodies in `_waiting`
        self._parts: deque[list[Delivery]] = deque()  # parts of a batch that was sent as a whole before
        self._blocked: dict[Hashable, float] = {}  # end of the wait by key, in seconds of the monotonic clock
        self._paused = False  # until `release`

    def arrived(self, delivery: Delivery) -> None:
        if self._key is not None:
            delivery.key = self._key(delivery.source.properties.headers, delivery.source.body)
            self._block(delivery, self._waits.resume(delivery))
        self._put(delivery)
        if self._timer is None or self._full:
            self._pump()

    def settled(self, delivery: Delivery) -> None:
        self.sending -= 1
        self._waits.end(delivery)
        if self._key is not None:
            self._pump()

    def hold(self, delivery: Delivery) -> None:
        self.put_back(delivery)
        self._paused = True

    def release(self) -> None:
        self._paused = False
        self._pump()

    def wait(self, delivery: Delivery, seconds: float) -> None:
        self._waits.begin(delivery, seconds)
        self._block(delivery, seconds)
        self.put_back(delivery)
        parts, self._parts = self._parts, deque()
        for part in parts:
            for behind in [one for one in part if one.key == delivery.key]:
                part.remove(behind)
                self._put(behind)
            if part:
                self._parts.append(part)

    def put_back(self, delivery: Delivery) -> None:
        """Take back a delivery that was sent, because it must be sent again, uncharged."""
        self.sending -= 1
        self._put(delivery)

    def again(self, *batches: list[Delivery]) -> None:
        self.sending -= sum(map(len, batches))
        self._parts.extendleft(part for part in reversed(batches) if part)
        self._pump()

    @property
    def unsent(self) -> Iterable[Delivery]:
        return (*self._waiting.values(), *(delivery for part in self._parts for delivery in part))

    def drop(self) -> list[Delivery]:
        dropped = sorted(self.unsent, key=_tag)
        self._waiting.clear()
        self._parts.clear()
        self._blocked.clear()
        self._bytes = 0
        return dropped

    def _put(self, delivery: Delivery) -> None:
        self._waiting[delivery.tag] = delivery
        self._bytes += len(delivery.source.body)

    def _block(self, delivery: Delivery, seconds: float) -> None:
        if seconds > 0:
            self._blocked[delivery.key] = time.monotonic() + seconds
            self._loop.call_later(seconds, self._pump)

    @property
    def _full(self) -> bool:
        return len(self._waiting) >= self._batch.max_messages or self._bytes >= self._batch.max_bytes

    def _send_due(self) -> None:
        while not self._paused and not (self._key is not None and self.sending):
            batch, seconds = (self._parts[0], 0.0) if self._parts else self._next()
            leave = self._limits.take() if batch and not seconds else seconds
            if not batch or leave is None:
                return
            if leave:
                self._timer = self._loop.call_later(leave, self._pump)
                return
            self._take(batch)
            self.sending += len(batch)
            self._limits.begin(batch[0])
            self._send(batch)

    def _next(self) -> tuple[list[Delivery], float]:
        """Return the next batch so far, and the seconds until it is due."""
        now, free = time.monotonic(), list(self._waiting.values())
        if self._key is not None:
            self._blocked = {key: end for key, end in self._blocked.items() if end > now}
            free = sorted((one for one in free if one.key not in self._blocked), key=_tag)
        if not free:
            return [], 0.0
        size = 0
        for count, delivery in enumerate(free):
            size += len(delivery.source.body)
            if count == self._batch.max_messages or (count and size > self._batch.max_bytes):
                return free[:count], 0.0
        if len(free) == self._batch.max_messages or size >= self._batch.max_bytes:
            return free, 0.0
        return free, max(0.0, free[0].arrived + self._batch.max_wait_ms / 1000 - now)

    def _take(self, batch: list[Delivery]) -> None:
        if self._parts:
            self._parts.popleft()
            return
        for delivery in batch:
            del self._waiting[delivery.tag]
            self._bytes -= len(delivery.source.body)


def _tag(delivery: Delivery) -> int:
    return delivery.tag

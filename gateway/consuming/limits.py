"""The limits of a consumer's requests on one worker: their rate, and their number in flight."""

from __future__ import annotations

import time

from delivery.concurrency import Limiter
from delivery.rate import Rate
from domain.outcome import Answer, ErrorClass, Outcome
from domain.registry import Subscription
from gateway.consuming.session import Delivery

_UNAVAILABLE = 503


class Limits:
    """Owned by the loop's thread."""

    def __init__(self, subscription: Subscription) -> None:
        self._rate = Rate()
        self._flight: Limiter | None = None  # kept without `concurrency`, because its requests may still be in flight
        self._limited = False  # whether there is `concurrency`
        self.change(subscription)

    def change(self, subscription: Subscription) -> None:
        """Apply the limits of a new revision, or of another number of workers."""
        spec, share = subscription.spec, subscription.share
        self._rate.change(spec.rate_limit, share, time.monotonic())
        self._limited = spec.concurrency is not None
        if spec.concurrency is None:
            return
        most = max(1, int(spec.concurrency.max * share + 1e-6))  # 98 * (1 / 49) is less than 2
        if self._flight is None:
            self._flight = Limiter(most, adaptive=spec.concurrency.adaptive)
        else:
            self._flight.change(most, adaptive=spec.concurrency.adaptive)

    @property
    def any(self) -> bool:
        """Whether there are limits."""
        return self._rate.limited or self._limited

    def take(self) -> float | None:
        """Take leave to send a request and return 0. Without leave, return the seconds until there is, or None if an
        answer must come first."""
        if self._limited and self._flight is not None and not self._flight.free:
            return None
        return self._rate.take(time.monotonic())

    def begin(self, delivery: Delivery) -> None:
        """Count the request of a delivery, or of a batch that begins with it, as in flight."""
        if self._limited and self._flight is not None:
            self._flight.start()
            delivery.began = time.monotonic()

    def answered(self, delivery: Delivery, answer: Answer, outcome: Outcome) -> None:
        """Count the request no more, and learn from its answer."""
        began, delivery.began = delivery.began, None
        if began is None or self._flight is None:
            return
        if answer.status is None and answer.error is not ErrorClass.TIMEOUT:
            self._flight.drop()
        else:
            busy = outcome is Outcome.THROTTLE or answer.status == _UNAVAILABLE or answer.status is None
            self._flight.answered(began, time.monotonic(), busy=busy)

    def drop(self, delivery: Delivery) -> None:
        """Count the request no more, because it was not sent."""
        began, delivery.began = delivery.began, None
        if began is not None and self._flight is not None:
            self._flight.drop()

    def slow_start(self) -> None:
        """Begin with one request again, because the target was down."""
        if self._flight is not None:
            self._flight.slow_start()

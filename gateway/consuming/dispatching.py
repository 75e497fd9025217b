"""The parts of a dispatcher that do not depend on whether it sends single messages or batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from delivery.lanes import key_function
from domain.outcome import Answer, Outcome
from domain.registry import Subscription
from gateway.consuming.limits import Limits
from gateway.consuming.session import Delivery
from gateway.consuming.waits import Waits
from gateway.loop import Loop


class Dispatching(ABC):
    """Holds deliveries between arrival and request. Owned by the loop's thread.

    A delivery stands for a request: itself, or the first of a batch.
    """

    def __init__(self, loop: Loop, subscription: Subscription) -> None:
        self._loop = loop
        self._key = key_function(subscription.spec.ordering)
        self._waits = Waits()
        self._limits = Limits(subscription)
        self._free = self._key is None and not self._limits.any  # whether nothing holds up a delivery
        self._timer: Any = None  # runs until the next request may be sent
        self._pumping = False  # because a delivery that is sent may be settled at once, and so cause the next
        self.sending = 0
        """number of messages in flight to the target, and of copies in flight"""

    @property
    def ordered(self) -> bool:
        return self._key is not None

    def change(self, subscription: Subscription) -> None:
        """Apply the limits of a new revision, or of another number of workers, also to waiting deliveries."""
        self._limits.change(subscription)
        self._free = self._key is None and not self._limits.any
        self._pump()

    def answered(self, delivery: Delivery, answer: Answer, outcome: Outcome) -> None:
        """Note that a request has ended."""
        if delivery.began is not None:
            self._limits.answered(delivery, answer, outcome)
            self._loop.at_turn_end(self._pump)

    def not_sent(self, delivery: Delivery) -> None:
        """Note that a request that had begun was not sent, so that another may be."""
        if delivery.began is not None:
            self._limits.drop(delivery)
            self._loop.at_turn_end(self._pump)

    def slow_start(self) -> None:
        """Begin with one request, because the target was down."""
        self._limits.slow_start()

    def given_back(self) -> None:
        """Note that a sent delivery returns with its channel. Its wait, with the number of attempts, is kept."""
        self.sending -= 1

    def lose(self) -> None:
        """Forget all deliveries, because their channel is closed."""
        self.drop()
        self.sending = 0

    @abstractmethod
    def arrived(self, delivery: Delivery) -> None:
        """Take a delivery, and send it when it is due."""

    @abstractmethod
    def settled(self, delivery: Delivery) -> None:
        """Note that a delivery is settled; send the one that waited for it."""

    @abstractmethod
    def hold(self, delivery: Delivery) -> None:
        """Hold a delivery that was about to be sent, or was sent and failed, until `release`."""

    @abstractmethod
    def release(self) -> None:
        """Send the held deliveries before the others, within the limits."""

    @abstractmethod
    def wait(self, delivery: Delivery, seconds: float) -> None:
        """Attempt a delivery again after `seconds`; until then its key waits. For ordered consumers only."""

    @property
    @abstractmethod
    def unsent(self) -> Iterable[Delivery]:
        """The deliveries that have arrived and are not sent."""

    @abstractmethod
    def drop(self) -> list[Delivery]:
        """Remove and return all unsent deliveries, in the order in which they must be returned."""

    @abstractmethod
    def again(self, *batches: list[Delivery]) -> None:
        """Send deliveries again that were not sent or must not be settled, before all others, within the limits."""

    @abstractmethod
    def _send_due(self) -> None:
        """Send all requests that are due; set the timer for the next."""

    def _pump(self) -> None:
        if self._timer is not None:
            self._loop.remove_timeout(self._timer)
            self._timer = None
        if not self._pumping:
            self._pumping = True
            try:
                self._send_due()
            finally:
                self._pumping = False

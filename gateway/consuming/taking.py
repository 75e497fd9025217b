"""Takes a consumer's messages from its queue while its state allows it, and returns the unsent ones otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable

from delivery.consumer_states import RIGHTS, State
from gateway.consuming.dispatching import Dispatching
from gateway.consuming.intake import Intake
from gateway.consuming.returns import Returns
from gateway.consuming.session import Session
from gateway.loop import Loop


class Taking:
    """Owned by the loop's thread.

    While it rests, or its breaker is open, a consumer cancels its subscription and returns its messages. If that would
    change the order of the messages, or let their queue expire, it continues to consume and holds the messages instead.
    """

    def __init__(
        self,
        loop: Loop,
        intake: Intake,
        dispatcher: Dispatching,
        returns: Returns,
        state: Callable[[], State],
    ) -> None:
        """`state` returns the consumer's state."""
        self._loop, self._intake, self._dispatcher, self._returns = loop, intake, dispatcher, returns
        self._state = state

    @property
    def keeps(self) -> bool:
        """Whether the consumer holds messages in states in which other consumers return them."""
        return self._dispatcher.ordered or self._intake.subscription.queue.vanishes

    def obey(self) -> None:
        """Take messages and send the held ones, or return all unsent ones, as the state requires."""
        rights = RIGHTS[self._state()]
        if rights.takes:
            if not self.adjust():
                self.take()
            self._dispatcher.release()
        elif not (rights.holds and self.keeps):
            self.stop()

    def take(self) -> None:
        """Subscribe, if the state allows it."""
        rights = RIGHTS[self._state()]
        if rights.takes or (rights.holds and self._intake.subscription.queue.vanishes):
            self._intake.take(self._prefetch)

    def adjust(self) -> bool:
        """Subscribe again if the prefetch has changed; return whether it has."""
        changed = self._intake.consuming and self._intake.prefetch != self._prefetch
        if changed:
            self.renew()
        return changed

    @property
    def _prefetch(self) -> int:
        """One while a message probes the target. An ordered consumer holds the others instead, because its first
        message may wait for its next attempt."""
        one_by_one = self._state() == "probing" and not self._dispatcher.ordered
        return 1 if one_by_one else self._intake.subscription.spec.most_unsettled

    def stop(self, then: Callable[[], None] = lambda: None) -> None:
        """Return all unsent messages, by nack or, if ordered, by closing the channel."""
        session = self._intake.session
        back = self._dispatcher.drop()
        if session is None:
            self._intake.prefetch = None  # its channel may be opening
            then()
            return
        if self._dispatcher.ordered:
            self._intake.leave()
        else:
            self._intake.cancel(then)
        for delivery in back:
            self._returns.back(delivery)
        self._returns.close_when_idle()

    def renew(self) -> None:
        """Subscribe again, with another prefetch, or on another channel because this one has held messages too long."""
        self.stop(self.take)

    def watch(self, session: Session, held: float) -> None:
        """Renew the subscription before an unsent message is held for `held` seconds, for which RabbitMQ closes the
        channel. Unsent messages wait for their lane, their rate limit or their target."""
        if session is not self._intake.session:
            return
        oldest = min((one.arrived for one in self._dispatcher.unsent), default=None)
        if oldest is not None and time.monotonic() - oldest > held * 0.75 and not self._intake.leaving:
            self.renew()
        self._loop.call_later(held / 4, lambda: self.watch(session, held))

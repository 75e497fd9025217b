"""Returns messages to their queue, uncharged, without exceeding its delivery limit."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from delivery.delivery_limit import near_limit, times_returned
from domain.registry import Subscription
from gateway.consuming.copier import Copier
from gateway.consuming.dispatching import Dispatching
from gateway.consuming.intake import Intake
from gateway.consuming.rests import Rests
from gateway.consuming.session import Delivery
from gateway.consuming.wiring import Wiring

log = structlog.get_logger("workerrmq.delivery")


class Returns:
    """Owned by the loop's thread. `subscription` and `copier` are those of the consumer's current revision.

    A message is returned by nack or, if ordered, by closing its channel. A message near the delivery limit is published
    to the end of its queue as a copy instead, which is a new message to the broker. If no copy can be published, the
    consumer takes no messages meanwhile: the broker returns the message when its consumer timeout is over, and after
    another delivery it might drop it.
    """

    def __init__(
        self,
        wiring: Wiring,
        rests: Rests,
        intake: Intake,
        dispatcher: Dispatching,
        subscription: Subscription,
        copier: Copier,
    ) -> None:
        self._wiring, self._rests = wiring, rests
        self._intake, self._dispatcher = intake, dispatcher
        self.subscription, self.copier = subscription, copier

    def back(self, delivery: Delivery) -> None:
        """Return a message that was not sent."""
        if self._dispatcher.ordered:
            self._save_from_limit(delivery)
        else:
            self._requeue(delivery)

    def back_from_target(self, delivery: Delivery, first_failed: float | None) -> None:
        """Return a message that was sent. With `first_failed` (Unix seconds), return a copy with that time. If ordered,
        the caller closes the channel, which also returns all later messages."""
        if self._dispatcher.ordered:
            self._dispatcher.given_back()
            if not self._save_from_limit(delivery):
                delivery.session.leave(delivery.tag)
            self.close_when_idle()
        elif first_failed is not None:
            self.copier.give_back(delivery, lambda: self._dispatcher.settled(delivery), first_failed=first_failed)
        else:
            self._requeue(delivery)
            self._dispatcher.settled(delivery)

    def abandon(self, delivery: Delivery, done: Callable[[], None]) -> bool:
        """Publish a copy of a message in flight if closing the channel could exceed the delivery limit. Return whether
        it does; then `done` is called after the copy's confirm, and the request's answer is ignored."""
        if not self._is_worn_out(delivery):
            return False
        delivery.abandoned = True
        self._publish_copy(delivery, done)
        return True

    def close_when_idle(self) -> None:
        """Close the channel of an ordered consumer that is leaving, once nothing is in flight."""
        if self._intake.leaving and not self._dispatcher.sending:
            self._intake.close("given back")

    def _is_worn_out(self, delivery: Delivery) -> bool:
        """Return whether one more return could exceed the delivery limit. If ordered, a message that was never returned
        is returned anyway: its copy would arrive on the same channel at once, and out of order."""
        headers = delivery.source.properties.headers
        if not near_limit(headers, self.subscription.queue):
            return False
        if self._dispatcher.ordered:
            if not times_returned(headers):
                return False
            spec = self.subscription.spec
            name = spec.effective_name
            log.warning("order_lost", message_id=delivery.source.message_id, consumer=name, queue=spec.queue_name)
        return True

    def _publish_copy(self, delivery: Delivery, done: Callable[[], None]) -> None:
        if not self._wiring.publisher.accepts:
            self._wiring.loop.at_turn_end(self._rests.until_copies)  # not while the subscription is being ended
        self.copier.give_back(delivery, done)

    def _requeue(self, delivery: Delivery) -> None:
        if self._is_worn_out(delivery):
            self._publish_copy(delivery, lambda: None)
        else:
            delivery.session.give_back(delivery.tag)

    def _save_from_limit(self, delivery: Delivery) -> bool:
        """Publish a copy of an ordered message if closing its channel could drop it, because a change of order is
        better than a loss. Return whether it does."""
        if not self._is_worn_out(delivery):
            return False
        self._dispatcher.sending += 1

        def saved() -> None:
            self._dispatcher.given_back()
            self.close_when_idle()

        self._publish_copy(delivery, saved)
        return True

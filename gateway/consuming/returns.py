"""How messages go back to their queue, uncharged, without exceeding its delivery limit."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from delivery.delivery_limit import near_limit, times_returned
from domain.registry import Subscription
from gateway.consuming.copier import Copier
from gateway.consuming.dispatcher import Dispatcher
from gateway.consuming.intake import Intake
from gateway.consuming.session import Delivery

log = structlog.get_logger("workerrmq.delivery")


class Returns:
    """Owned by the loop's thread. `subscription` and `copier` are those of the consumer's revision.

    A message goes back by nack or, where order matters, with its channel. One near the delivery limit goes to the end
    of its queue as a confirmed copy instead, which to the broker is a new message.
    """

    def __init__(self, intake: Intake, dispatcher: Dispatcher, subscription: Subscription, copier: Copier) -> None:
        self._intake, self._dispatcher = intake, dispatcher
        self.subscription, self.copier = subscription, copier

    def back(self, delivery: Delivery) -> None:
        """Return a message that was not sent."""
        if self._dispatcher.ordered:
            self._save_from_limit(delivery)
        else:
            self._requeue(delivery)

    def back_from_target(self, delivery: Delivery, first_failed: float | None) -> None:
        """Return a message that was sent. With `first_failed` (Unix seconds) return a copy that says so. Where order
        matters the caller has the channel closed, with all that came after the message."""
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
        """Return whether a copy is on its way to replace a message whose request is not waited for any longer, because
        the channel will close and that return may be one too many. Call `done` when the copy is safe."""
        if not self._near_limit(delivery):
            return False
        delivery.abandoned = True
        self.copier.give_back(delivery, done)
        return True

    def close_when_idle(self) -> None:
        """Where order matters: close the channel once nothing is under way."""
        if self._intake.leaving and not self._dispatcher.sending:
            self._intake.close("given back")

    def _near_limit(self, delivery: Delivery) -> bool:
        return near_limit(delivery.source.properties.headers, self.subscription.queue)

    def _requeue(self, delivery: Delivery) -> None:
        if self._near_limit(delivery):
            self.copier.give_back(delivery, lambda: None)
        else:
            delivery.session.give_back(delivery.tag)

    def _save_from_limit(self, delivery: Delivery) -> bool:
        """Return whether a copy replaces a message that its channel's close could drop: out of order is better than
        lost. A message that was never returned bears one return; its copy would come by the same channel at once."""
        if not self._near_limit(delivery) or not times_returned(delivery.source.properties.headers):
            return False
        spec = self.subscription.spec
        log.warning(
            "order_lost",
            message_id=delivery.source.message_id,
            consumer=spec.name or spec.queue_name,
            queue=spec.queue_name,
        )
        self._dispatcher.sending += 1

        def saved() -> None:
            self._dispatcher.given_back()
            self.close_when_idle()

        self.copier.give_back(delivery, saved)
        return True

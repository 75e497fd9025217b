"""Publishes what must be safe before a message is acked: its copy for a retry, its dead letter, the reply to it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

import structlog

from delivery.backoff import reconnect_delay
from delivery.copies import Earlier, bare_dead_letter, dead_letter, forwarded, reply, retry_copy, returned_copy
from domain.errors import PublishUnconfirmed, Unroutable, Unwritable, WorkerError
from domain.message import Message
from domain.otherwise import Destination
from domain.outcome import Answer
from domain.registry import Subscription
from gateway.amqp.confirm_channel import destination
from gateway.amqp.topology import dead_letter_queue, entrance
from gateway.consuming.session import Delivery
from gateway.consuming.wiring import Wiring

log = structlog.get_logger("workerrmq.delivery")

Cure = Callable[[WorkerError], None]
"""Does what it can about the reason for which a copy was refused."""
Safe = Callable[[], None]
"""Called when the broker has confirmed the copy; never, if the delivery loses its channel before."""


class Owner(Protocol):
    """The settlement, as its copier sees it."""

    def copy_refused(self, delivery: Delivery, reason: str) -> None:
        """A copy could not be made, for this reason; it is tried again while the delivery is open."""


class Copier:
    """For one revision of a consumer. Owned by the loop's thread.

    A copy that the broker refuses is tried again, with growing pauses; the original stays unacked meanwhile.
    """

    def __init__(self, owner: Owner, wiring: Wiring, subscription: Subscription) -> None:
        self._owner, self._wiring = owner, wiring
        self._name = subscription.spec.name or subscription.spec.queue_name
        self._queue_type = subscription.queue.type
        self._own = dead_letter_queue(subscription.spec.queue_name)
        self._address: tuple[str, str | None] = subscription.queue.dead_letter or ("", self._own)

    def retry(self, delivery: Delivery, answer: Answer, delay: int, safe: Safe, unfit: Safe) -> None:
        """Put a copy into the delay levels for `delay` seconds. `unfit` is called instead when there can be none,
        because the message has no room for what a copy must say."""

        wanted = delivery.claim()

        def make() -> Message:
            return retry_copy(delivery.source, self._name, answer, delay, entrance(delay), time.time())

        def publish() -> None:
            self._publish(delivery, wanted, make, safe, again, unfit)

        def again(error: WorkerError | None = None) -> None:
            if isinstance(error, Unroutable):
                self._wiring.standing.doubt()
            self._wiring.standing.need_delay(delay, publish, lambda reason: self._owner.copy_refused(delivery, reason))

        again()

    def dead_letter(self, delivery: Delivery, answer: Answer, why: str, safe: Safe) -> None:
        """Put a copy where the queue's dead letters go, or into our own dead-letter queue if that leads nowhere. It
        says why, as far as there is room."""
        wanted = delivery.claim()
        bare = [
            partial(bare_dead_letter, delivery.source),
            partial(bare_dead_letter, delivery.source, persistent=False),
            partial(bare_dead_letter, delivery.source, headers=False),
        ]

        def make_full() -> Message:
            earlier = Earlier(delivery.attempt - 1, delivery.first_failed) if delivery.first_failed else None
            return dead_letter(delivery.source, self._name, answer, why, self._address, time.time(), earlier)

        make: Callable[[], Message] = make_full

        def publish() -> None:
            self._publish(delivery, wanted, make, safe, again, unfit if bare else None)

        def again(error: WorkerError | None = None) -> None:
            if isinstance(error, Unroutable):
                self._wiring.standing.doubt()
                self._address = ("", self._own)
            if self._address == ("", self._own):
                self._wiring.standing.need_dead_letter_queue(
                    self._own, self._queue_type, publish, lambda reason: self._owner.copy_refused(delivery, reason)
                )
            else:
                publish()

        def unfit() -> None:
            nonlocal make
            barer = bare.pop(0)
            make = lambda: barer(self._address)  # noqa: E731
            publish()

        again()

    def forward(self, delivery: Delivery, to: Destination, safe: Safe, unfit: Safe) -> None:
        """Publish the message elsewhere, as it came. `unfit` is called instead when it has no room for the header that
        counts how often that was done."""
        wanted = delivery.claim()

        def publish(_error: WorkerError | None = None) -> None:
            make = partial(forwarded, delivery.source, to.exchange, to.routing_key)
            self._publish(delivery, wanted, make, safe, publish, unfit)

        publish()

    def give_back(self, delivery: Delivery, done: Safe, *, first_failed: float | None = None) -> None:
        """Put a copy at the end of its queue, which does not know then how often it has come back; then ack the
        original and call `done`. A message that has no room for a copy goes back as it is. The copy says since when it
        fails: `first_failed`, in Unix seconds, where the message does not say."""
        session, tag, wanted = delivery.session, delivery.tag, delivery.claim()

        def safe() -> None:
            session.finish(tag)
            done()

        def unfit() -> None:
            session.give_back(tag)
            done()

        def publish(_error: WorkerError | None = None) -> None:
            make = partial(returned_copy, delivery.source, first_failed)
            self._publish(delivery, wanted, make, safe, publish, unfit)

        publish()

    def reply(self, delivery: Delivery, answer: Answer, safe: Safe) -> None:
        """Send the target's answer to the queue that the message names. A queue that has gone needs no answer."""

        wanted = delivery.claim()

        def publish(error: WorkerError | None = None) -> None:
            if isinstance(error, Unroutable):
                safe()
            else:
                self._publish(delivery, wanted, lambda: reply(delivery.source, answer), safe, publish, unfit=safe)

        publish()

    def _publish(
        self,
        delivery: Delivery,
        wanted: Callable[[], bool],
        make: Callable[[], Message],
        safe: Safe,
        again: Cure,
        unfit: Safe | None,
    ) -> None:
        """Publish a copy once, if it is `wanted`. After a refusal and a pause, call `again` with the reason."""
        if not wanted():
            return
        loop, verdicts, copy = self._wiring.loop, 0, make()

        def published(error: WorkerError | None) -> None:
            """The first verdict counts: the broker's, or ours when it gives none in time."""
            nonlocal verdicts
            verdicts += 1
            loop.remove_timeout(deadline)
            if verdicts > 1 or not wanted():
                return
            if error is None:
                safe()
            elif unfit is not None and isinstance(error, Unwritable):
                self._refused(delivery, error)
                unfit()
            else:
                self._refused(delivery, error)
                self._try_again(delivery, partial(again, error))

        def overdue() -> None:
            if self._wiring.publisher.up and self._wiring.publisher.blocked is None:
                place = destination(copy.exchange, copy.routing_key)
                published(PublishUnconfirmed(f"The broker did not confirm a copy in time; it goes to {place}."))

        deadline = loop.call_later(self._wiring.periods.confirm, overdue)
        # The broker delivers a message again whose channel is lost: a copy of it would be one too many.
        self._wiring.publisher.publish(copy, published, wanted=wanted)

    def _refused(self, delivery: Delivery, error: WorkerError) -> None:
        self._owner.copy_refused(delivery, error.detail)
        log.warning(
            "copy_failed",
            consumer=self._name,
            queue=delivery.source.queue,
            message_id=delivery.source.message_id,
            correlation_id=delivery.source.properties.correlation_id,
            reason=error.detail,
        )

    def _try_again(self, delivery: Delivery, again: Callable[[], None]) -> None:
        pause = reconnect_delay(delivery.tries, random.random())
        delivery.tries += 1

        self._wiring.loop.call_later(pause, again)  # which does nothing once the copy is not wanted any more

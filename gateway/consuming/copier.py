"""Publishes what must be safe before a message is acked: its copy for a retry, its dead letter, the reply to it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial

import structlog

from delivery.backoff import reconnect_delay
from delivery.copies import Earlier, bare_dead_letter, dead_letter, reply, retry_copy, returned_copy
from domain.errors import PublishUnconfirmed, Unroutable, Unwritable, WorkerError
from domain.message import Message
from domain.outcome import Answer
from domain.registry import Subscription
from gateway.amqp.topology import RETRY, dead_letter_queue
from gateway.consuming.intake import Intake
from gateway.consuming.session import Delivery
from gateway.consuming.wiring import Wiring

log = structlog.get_logger("workerrmq.delivery")

_CONFIRM_WITHIN = 30.0
"""Seconds that the broker has to confirm a copy, as long as it is there and takes messages."""
_UNCONFIRMED = PublishUnconfirmed("The broker has not confirmed a copy in time.")

Mend = Callable[[WorkerError], None]
"""Does what it can about the reason for which a copy was not taken."""
Safe = Callable[[], None]
"""Called when the broker has confirmed the copy; never, if the delivery loses its channel before."""


class Copier:
    """For one revision of a consumer. Owned by the loop's thread.

    A copy that the broker does not take is tried again, with growing pauses; the original stays unacked meanwhile.
    """

    def __init__(
        self, wiring: Wiring, subscription: Subscription, intake: Intake, failed: Callable[[str], None]
    ) -> None:
        """`failed` hears why a copy could not be made, in a sentence."""
        self._wiring, self._intake, self._failed = wiring, intake, failed
        self._name = subscription.spec.name or subscription.spec.queue_name
        own = dead_letter_queue(subscription.spec.queue_name)
        self._own_address: tuple[str, str | None] = ("", own)
        self._address = subscription.queue.dead_letter or self._own_address

    def retry(self, delivery: Delivery, answer: Answer, delay: int, safe: Safe, unfit: Safe) -> None:
        """Put a copy on the retry ladder for `delay` milliseconds. `unfit` is called instead when there can be none,
        for the message has no room for what a copy must say."""

        ladder = self._wiring.ladder

        def make() -> Message:
            rung = ladder.ensure(delay, time.monotonic())
            return retry_copy(delivery.source, self._name, answer, rung, RETRY, time.time())

        def mend(error: WorkerError) -> None:
            if isinstance(error, Unroutable):
                ladder.forget()
            elif error is _UNCONFIRMED:
                ladder.avoid(delay)

        self._publish(delivery, make, safe, mend, unfit)

    def dead_letter(self, delivery: Delivery, answer: Answer, why: str, safe: Safe) -> None:
        """Put a copy where the queue's dead letters go, or into our own dead-letter queue if that leads nowhere. It
        says why, as far as there is room."""
        bare = [
            partial(bare_dead_letter, delivery.source),
            partial(bare_dead_letter, delivery.source, persistent=False),
            partial(bare_dead_letter, delivery.source, headers=False),
        ]

        def make() -> Message:
            earlier = Earlier(delivery.attempt - 1, delivery.first_failed) if delivery.first_failed else None
            return dead_letter(delivery.source, self._name, answer, why, self._address, time.time(), earlier)

        def mend(error: WorkerError) -> None:
            if isinstance(error, Unroutable):
                self._address = self._own_address
                self._intake.declare_dead_letter_queue(lambda: None)

        def unfit() -> None:
            barer = bare.pop(0)
            self._publish(delivery, lambda: barer(self._address), safe, mend, unfit if bare else None)

        self._publish(delivery, make, safe, mend, unfit)

    def give_back(self, delivery: Delivery) -> None:
        """Put a copy at the end of its queue, which does not know then how often it has come back, and ack it. One that
        has no room for a copy goes back as it is."""
        session, tag = delivery.session, delivery.tag
        self._publish(
            delivery,
            lambda: returned_copy(delivery.source),
            safe=lambda: session.finish(tag),
            mend=lambda _error: None,
            unfit=lambda: session.give_back(tag),
        )

    def reply(self, delivery: Delivery, answer: Answer, safe: Safe) -> None:
        """Send the target's answer to whom the message asks to be answered. One who is gone needs no answer."""
        self._publish(delivery, lambda: reply(delivery.source, answer), safe, None, unfit=safe)

    def _publish(
        self,
        delivery: Delivery,
        make: Callable[[], Message],
        safe: Safe,
        mend: Mend | None,
        unfit: Safe | None = None,
    ) -> None:
        if not delivery.session.alive:
            return
        loop, verdicts = self._wiring.loop, 0

        def published(error: WorkerError | None) -> None:
            """The first verdict counts: the broker's, or ours when it gives none in time."""
            nonlocal verdicts
            verdicts += 1
            loop.remove_timeout(deadline)
            if verdicts > 1 or not delivery.session.alive:
                return
            if error is None or (mend is None and isinstance(error, Unroutable)):
                safe()
                return
            identity = delivery.source.message_id
            self._failed(error.detail)
            log.warning(
                "copy_failed",
                consumer=self._name,
                queue=delivery.source.queue,
                message_id=identity,
                correlation_id=delivery.source.properties.correlation_id,
                reason=error.detail,
            )
            if unfit is not None and isinstance(error, Unwritable):
                unfit()
                return
            if mend is not None:
                mend(error)
            pause = reconnect_delay(delivery.tries, random.random())
            delivery.tries += 1
            loop.call_later(pause, lambda: self._publish(delivery, make, safe, mend, unfit))

        def overdue() -> None:
            if self._wiring.publisher.up and self._wiring.publisher.blocked is None:
                published(_UNCONFIRMED)

        deadline = loop.call_later(_CONFIRM_WITHIN, overdue)
        # The message of a channel that is lost is given to somebody anew: a copy of it would be one too many.
        self._wiring.publisher.publish(make(), published, wanted=lambda: delivery.session.alive)

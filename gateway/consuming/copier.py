"""Publishes copies that the broker must confirm before the original is acked: retries, dead letters, replies."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import structlog

from delivery.backoff import reconnect_delay
from delivery.copies import forwarded, reply, retry_copy, returned_copy, routed_copy
from delivery.dead_letters import Earlier, bare_dead_letter, dead_letter, leads_back
from domain.errors import BrokerTimeout, Unroutable, Unwritable, WorkerError
from domain.message import Message
from domain.otherwise import Destination
from domain.outcome import Answer
from domain.registry import Subscription
from gateway.amqp.confirm_channel import destination
from gateway.amqp.publisher import unavailable
from gateway.amqp.topology import dead_letter_queue, entrance
from gateway.consuming.counters import Counters
from gateway.consuming.session import Delivery
from gateway.consuming.wiring import Wiring

log = structlog.get_logger("workerrmq.delivery")

Cure = Callable[[WorkerError], None]
"""Called with the error of a refused copy; it removes the cause if it can, and publishes again."""
Safe = Callable[[], None]
"""Called after the broker has confirmed the copy; not called if the delivery's channel is lost first."""


class Owner(Protocol):
    """The part of the settlement that its copier calls."""

    def copy_lost(self, delivery: Delivery, reason: str) -> None:
        """Settle a delivery whose copy the broker refused for too long, or whose reply cannot be published."""


class Copier:
    """Publishes the copies for one revision of a consumer. Owned by the loop's thread.

    The copier repeats a refused copy with increasing pauses, for an exchange with those of ExchangePauses; meanwhile
    the original stays unacked.
    """

    def __init__(self, owner: Owner, wiring: Wiring, subscription: Subscription, counters: Counters) -> None:
        self._owner, self._wiring, self._counters = owner, wiring, counters
        self._spec, self._name = subscription.spec, subscription.spec.effective_name
        self._queue_type = subscription.queue.type
        self._own = dead_letter_queue(subscription.spec.queue_name)
        self._address: tuple[str, str | None] = subscription.queue.dead_letter or ("", self._own)

    def retry(self, delivery: Delivery, answer: Answer, delay: int, safe: Safe, unfit: Safe) -> None:
        """Publish a copy to the delay levels for `delay` seconds. `unfit` is called instead if the headers have no room
        for a copy's history."""

        wanted = delivery.claim()

        def make() -> Message:
            return retry_copy(delivery.source, self._name, answer, delay, entrance(delay), time.time())

        def publish() -> None:
            self._publish(delivery, wanted, make, safe, again, unfit)

        def again(error: WorkerError | None = None) -> None:
            if isinstance(error, Unroutable):
                self._wiring.standing.doubt()
            self._wiring.standing.need_delay(delay, publish, partial(self._note, delivery))

        again()

    def dead_letter(self, delivery: Delivery, answer: Answer, why: str, safe: Safe) -> None:
        """Publish a copy to the queue's dead-letter exchange, or to our own dead-letter queue if the queue has none or
        the copy is unroutable. The copy has its history, as far as there is room. `why` is `rejected`,
        `exhausted`, `expired` or `filtered`."""
        wanted = delivery.claim()
        bare = [
            partial(bare_dead_letter, delivery.source),
            partial(bare_dead_letter, delivery.source, persistent=False),
            partial(bare_dead_letter, delivery.source, headers=False),
        ]

        def address() -> tuple[str, str | None]:
            return ("", self._own) if leads_back(delivery.source, self._address) else self._address

        def make_full() -> Message:
            earlier = Earlier(delivery.attempt - 1, delivery.first_failed) if delivery.first_failed else None
            return dead_letter(delivery.source, self._spec, answer, why, address(), time.time(), earlier)

        make: Callable[[], Message] = make_full

        def publish() -> None:
            self._publish(delivery, wanted, make, safe, again, unfit if bare else None)

        def again(error: WorkerError | None = None) -> None:
            if isinstance(error, Unroutable):
                self._wiring.standing.doubt()
                self._address = ("", self._own)
            if address() == ("", self._own):
                self._wiring.standing.need_queue(self._own, self._queue_type, publish, partial(self._note, delivery))
            else:
                publish()

        def unfit() -> None:
            nonlocal make
            barer = bare.pop(0)
            make = lambda: barer(address())  # noqa: E731
            publish()

        again()

    def forward(self, delivery: Delivery, to: Destination, safe: Safe, unfit: Safe) -> None:
        """Publish the message to another destination. `unfit` is called instead if its headers have no room for the
        number of forwards."""
        wanted = delivery.claim()

        def publish(_error: WorkerError | None = None) -> None:
            make = partial(forwarded, delivery.source, to.exchange, to.routing_key)
            self._publish(delivery, wanted, make, safe, publish, unfit)

        publish()

    def route(self, delivery: Delivery, queue: str, safe: Safe, unfit: Safe) -> None:
        """Publish a copy to the queue of a route. If the queue is missing, declare it with the type of the consumer's
        queue. `unfit` is called instead if the headers have no room for a copy's history."""
        wanted, standing = delivery.claim(), self._wiring.standing
        make = partial(routed_copy, delivery.source, queue)

        def publish(error: WorkerError | None = None) -> None:
            if isinstance(error, Unroutable):
                standing.doubt()
                standing.need_queue(queue, self._queue_type, publish, partial(self._note, delivery))
            else:
                self._publish(delivery, wanted, make, safe, publish, unfit)

        publish()

    def give_back(self, delivery: Delivery, done: Safe, *, first_failed: float | None = None) -> None:
        """Publish a copy to the end of its queue, with a new count of returns; then ack the original and call `done`.

        A message without room for a copy's headers is returned by nack instead. The copy has the time of its first
        failure: that in the message, else `first_failed` (Unix seconds).
        """
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
        """Publish the target's answer to the queue in `reply_to`. If that queue is gone, the reply is lost."""
        wanted, make = delivery.claim(), partial(reply, delivery.source, answer)
        delivery.succeeded = True

        def publish(_error: WorkerError | None = None) -> None:
            self._publish(delivery, wanted, make, safe, publish, unfit=None)

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
        """Publish a copy once, if it is `wanted`. After a refusal and a pause, call `again` with the error."""
        if not wanted():
            return
        loop, pauses, verdicts, copy = self._wiring.loop, self._wiring.pauses, 0, make()
        deadline: Any = None
        refusal = pauses.objection(copy, time.monotonic())
        if refusal is not None:
            self._note(delivery, refusal.detail)
            self._try_again(delivery, partial(again, refusal))
            return

        def published(error: WorkerError | None) -> None:
            """Handle the first result: the broker's, or ours if the broker does not answer in time."""
            nonlocal verdicts
            verdicts += 1
            loop.remove_timeout(deadline)
            pauses.answered(copy, error, time.monotonic())
            if verdicts > 1 or not wanted():
                return
            if error is None:
                safe()
            elif delivery.succeeded and isinstance(error, Unroutable | Unwritable):
                self._owner.copy_lost(delivery, error.detail)
            elif unfit is not None and isinstance(error, Unwritable):
                self._refused(delivery, error)
                unfit()
            else:
                self._refused(delivery, error)
                self._try_again(delivery, partial(again, error))

        def overdue() -> None:
            nonlocal deadline
            publisher = self._wiring.publisher
            if publisher.accepts:
                place = destination(copy.exchange, copy.routing_key)
                published(BrokerTimeout(f"The broker did not confirm a copy for {place} in time."))
            elif wanted():
                self._refused(delivery, unavailable(publisher.blocked or publisher.error))
                deadline = loop.call_later(self._wiring.periods.confirm, overdue)

        deadline = loop.call_later(self._wiring.periods.confirm, overdue)
        # If the channel is lost, the broker redelivers the message, and a copy would be a duplicate.
        self._wiring.publisher.publish(copy, published, wanted=wanted)

    def _note(self, delivery: Delivery, reason: str) -> None:
        """Record why a copy cannot be published. If that lasts, the owner settles the message before the broker closes
        the channel."""
        if self._counters.copy_refused(delivery, reason):
            self._wiring.loop.call_later(self._wiring.periods.held, lambda: self._overdue(delivery))

    def _overdue(self, delivery: Delivery) -> None:
        reason = self._counters.forget_refused(delivery)
        if delivery.open and reason is not None:
            delivery.claim()
            self._owner.copy_lost(delivery, reason)

    def _refused(self, delivery: Delivery, error: WorkerError) -> None:
        self._note(delivery, error.detail)
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

        self._wiring.loop.call_later(pause, again)  # it does nothing if the copy is no longer wanted

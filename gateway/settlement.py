"""From an answer to a settled delivery. Nothing is acked before its fate is safe: the target said 2xx, or the broker
confirmed a copy on the retry ladder or in a dead-letter queue."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from delivery.backoff import reconnect_delay, retry_delay
from delivery.copies import Source, dead_letter, retry_copy
from delivery.outcome import compile_rules
from delivery.request import RequestHeaders
from delivery.rest import Rest
from domain.errors import Unroutable, WorkerError
from domain.message import Message
from domain.outcome import Answer, Outcome
from domain.registry import Subscription
from gateway.amqp.topology import RETRY, dead_letter_queue

if TYPE_CHECKING:
    from gateway.consumer import Consumer, Wiring
    from gateway.session import Session

log = structlog.get_logger("workerrmq.delivery")


class Delivery:
    """One message in flight: where to settle it, and by whose rules."""

    __slots__ = ("attempt", "session", "settlement", "source", "tag", "tries")

    def __init__(self, session: Session, tag: int, source: Source, attempt: int, settlement: Settlement) -> None:
        self.session, self.tag = session, tag
        self.source, self.attempt = source, attempt
        self.settlement = settlement
        self.tries = 0
        """how often its copy could not be published"""

    def answered(self, answer: Answer) -> None:
        self.settlement.answered(self, answer)


@dataclass(slots=True)
class Counters:
    """Since the worker took the consumer up."""

    delivered: int = 0
    retried: int = 0
    dead_lettered: int = 0
    requeued: int = 0
    failing: bool = False
    last_status: int | None = None
    error: str | None = None
    error_at: datetime | None = None


class Settlement:
    """One revision of a consumer: its target, its rules, and what it has settled. Owned by the loop's thread."""

    def __init__(self, consumer: Consumer, wiring: Wiring, subscription: Subscription) -> None:
        spec = subscription.spec
        self._consumer, self._wiring = consumer, wiring
        self._spec = spec
        self._name = spec.name or spec.queue_name
        self._dead_letter = subscription.queue.dead_letter
        self._decide = compile_rules(spec.outcomes)
        self._headers = RequestHeaders(spec)
        self._target = wiring.http.target(spec)
        self._rest = Rest()
        self.counters = Counters()

    def send(self, delivery: Delivery) -> None:
        """Start the request; its answer settles the delivery."""
        source = delivery.source
        lines = self._headers.lines(
            source.properties, source.message_id, delivery.attempt, source.body, int(time.time())
        )
        self._target.send(lines, source.body, delivery.answered)

    def answered(self, delivery: Delivery, answer: Answer) -> None:
        counters = self.counters
        counters.last_status = answer.status
        if not delivery.session.alive:
            return  # its channel is gone, and the broker has given the message to somebody again
        outcome = self._decide(answer)
        if outcome is Outcome.SUCCESS:
            counters.delivered += 1
            counters.failing = False
            self._rest.clear()
            delivery.session.finish(delivery.tag)
            return
        counters.failing, counters.error, counters.error_at = True, answer.reason, datetime.now(UTC)
        if outcome is Outcome.SUSPEND:
            self._give_back(delivery, answer)
            return
        self._rest.clear()
        delay = None
        if outcome is Outcome.RETRY:
            delay = retry_delay(self._spec.retry, delivery.attempt, random.random(), answer.retry_after)
        self._log(delivery, answer, outcome, delay)
        self._copy(delivery, answer, outcome, delay)

    # --- copies ----------------------------------------------------------------------------------------------------

    def _copy(self, delivery: Delivery, answer: Answer, outcome: Outcome, delay: int | None) -> None:
        """Publish the copy; ack the original only when the broker has confirmed that the copy is in a queue."""
        if not delivery.session.alive:
            return
        if delay is not None:
            self._wiring.ladder.ensure(delay, time.monotonic())
            copy = retry_copy(delivery.source, self._name, answer, delay, RETRY, time.time())
        else:
            why = "rejected" if outcome is Outcome.REJECT else "exhausted"
            copy = dead_letter(delivery.source, self._name, answer, why, self._dead_letter_address(), time.time())

        def copied(error: WorkerError | None) -> None:
            if not delivery.session.alive:
                return
            if error is None:
                if delay is not None:
                    self.counters.retried += 1
                else:
                    self.counters.dead_lettered += 1
                delivery.session.finish(delivery.tag)
            else:
                self._again(copy, error, delivery, lambda: self._copy(delivery, answer, outcome, delay))

        self._wiring.publisher.publish(copy, copied)

    def _dead_letter_address(self) -> tuple[str, str | None]:
        return self._dead_letter or ("", dead_letter_queue(self._spec.queue_name))

    def _again(self, copy: Message, error: WorkerError, delivery: Delivery, retry: Callable[[], None]) -> None:
        """A copy that is not safe leaves the original unacked, and is tried again."""
        self.counters.error, self.counters.error_at = error.detail, datetime.now(UTC)
        log.warning("copy_failed", reason=error.detail, consumer=self._name, message_id=delivery.source.message_id)
        wait = reconnect_delay(delivery.tries, random.random())
        delivery.tries += 1
        if isinstance(error, Unroutable):
            if copy.exchange == RETRY:
                self._wiring.ladder.forget()
            else:  # the queue's own dead-letter exchange leads nowhere: use a queue of ours
                self._dead_letter = None
                self._consumer.declare_dead_letter_queue(lambda: self._wiring.loop.call_later(wait, retry))
                return
        self._wiring.loop.call_later(wait, retry)

    def _give_back(self, delivery: Delivery, answer: Answer) -> None:
        """Nothing is charged: the message is fine, the consumer is not. One changed since has a clean slate."""
        self.counters.requeued += 1
        if self._consumer.settlement is self:
            seconds = self._rest.suspend_class(answer.status)
            if seconds is None:
                self._consumer.suspend(f"the target answers {answer.reason}")
            else:
                self._consumer.rest(seconds, f"the target answers {answer.reason}")
        self._log(delivery, answer, Outcome.SUSPEND, None)
        delivery.session.give_back(delivery.tag)

    def _log(self, delivery: Delivery, answer: Answer, outcome: Outcome, delay: int | None) -> None:
        log.warning(
            "delivery_failed",
            consumer=self._name,
            queue=self._spec.queue_name,
            message_id=delivery.source.message_id,
            correlation_id=delivery.source.properties.correlation_id,
            attempt=delivery.attempt,
            outcome=outcome.value,
            reason=answer.reason,
            duration_ms=round(answer.seconds * 1000),
            retry_in_ms=delay,
        )

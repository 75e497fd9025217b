"""From an answer to a settled delivery. Nothing is acked before its fate is safe: the target said 2xx, or the broker
confirmed a copy on the retry ladder or in a dead-letter queue (copier.py)."""

from __future__ import annotations

import random
import time
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

from delivery.attempts import SAMPLE
from delivery.backoff import retry_delay
from delivery.outcome import compile_rules
from delivery.recent import RecentAnswers
from delivery.request import RequestBuilder
from delivery.rest import Rest
from delivery.template import Unsendable
from domain.attempt import Attempt, Result
from domain.outcome import Answer, ErrorClass, Outcome
from domain.registry import Subscription
from gateway.consuming.breakers import TargetBreaker
from gateway.consuming.copier import Copier
from gateway.consuming.intake import Intake
from gateway.consuming.session import Delivery
from gateway.consuming.tally import NO_ATTEMPTS
from gateway.consuming.wiring import Wiring
from gateway.metrics.instruments import ATTEMPT_BUCKETS

_THROTTLED = 429
"""Too Many Requests says nothing against the target's health."""
_NEVER_ASKED = (ErrorClass.BLOCKED, ErrorClass.UNSENDABLE)
"""Errors of ours: the target has not heard of the message."""


class Owner(Protocol):
    """The consumer, as its settlement sees it."""

    settlement: Settlement
    """the revision that is in force"""

    def finish(self, delivery: Delivery) -> None: ...

    def give_back(self, delivery: Delivery) -> None: ...

    def wait(self, delivery: Delivery, seconds: float) -> None: ...

    def rest(self, seconds: float, reason: str) -> None: ...

    def suspend(self, reason: str) -> None: ...


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
    recent: RecentAnswers = field(default_factory=RecentAnswers)
    attempts: list[int] = field(default_factory=NO_ATTEMPTS.copy)
    """by how long they took, as ATTEMPT_BUCKETS"""
    seconds: float = 0.0
    """that all of these took"""


class Settlement:
    """One revision of a consumer: its target, its rules, and what it has settled. Owned by the loop's thread.

    Raises ValueError with a sentence when a consumer cannot be delivered so.
    """

    def __init__(
        self,
        owner: Owner,
        wiring: Wiring,
        subscription: Subscription,
        breaker: TargetBreaker,
        intake: Intake,
    ) -> None:
        spec = subscription.spec
        self._owner, self._wiring, self._breaker = owner, wiring, breaker
        self._spec, self._id = spec, subscription.id
        self._name = spec.name or spec.queue_name
        self.copier = Copier(wiring, subscription, intake, self._failed)
        self._decide = compile_rules(spec.outcomes)
        self._requests = RequestBuilder(spec, subscription.retiring_secrets)
        self._target = wiring.http.target(spec)
        self._ordered = spec.ordering != "none"
        self._rest = Rest()
        self._log, self._tracing = wiring.log, wiring.tracing
        self.counters = Counters()

    def send(self, delivery: Delivery) -> None:
        """Start the request; its answer settles the delivery."""
        try:
            headers, body, url = self._requests.build(delivery.source, delivery.attempt, time.time())
        except Unsendable as exc:
            self.answered(delivery, Answer(None, ErrorClass.UNSENDABLE, str(exc), 0.0))
        else:
            if self._tracing is not None:
                delivery.span = self._tracing.attempt(self._name, delivery.source, delivery.attempt)
                headers = self._tracing.lines(delivery.span, headers)
            self._target.send(headers, body, partial(self.answered, delivery), url)

    def answered(self, delivery: Delivery, answer: Answer) -> None:
        """Settle by the outcome. Of a delivery whose channel is gone only the breaker learns: the broker has given the
        message to somebody again."""
        outcome = self._decide(answer)
        probe, delivery.probe = delivery.probe, False
        if self._tracing is not None and delivery.span is not None:
            self._tracing.answered(delivery.span, outcome, answer)
            delivery.span = None
        if answer.error in _NEVER_ASKED:
            self._breaker.not_asked(probe=probe)
        else:
            self._breaker.answered(outcome is Outcome.RETRY and answer.status != _THROTTLED, probe=probe)
            self.counters.attempts[bisect_left(ATTEMPT_BUCKETS, answer.seconds)] += 1
            self.counters.seconds += answer.seconds
        if not delivery.session.alive:
            return
        self.counters.last_status = answer.status
        self.counters.recent.add(answer.seconds, outcome is Outcome.SUCCESS)
        if outcome is Outcome.SUCCESS:
            self.counters.failing = False
            self._rest.clear()
            kept = random.random() < SAMPLE
            if kept or self._log.verbose:
                self._record(delivery, answer, "delivered", None, kept=kept)
            if self._spec.reply and delivery.source.properties.reply_to:
                self.copier.reply(delivery, answer, lambda: self._settled(delivery, "delivered"))
            else:
                self.counters.delivered += 1
                self._owner.finish(delivery)
            return
        self._failed(answer.reason)
        if outcome is Outcome.SUSPEND:
            self._misconfigured(delivery, answer)
        elif outcome is Outcome.RETRY and not self._breaker.closed and not probe:
            self._record(delivery, answer, "requeued", None)
            self._owner.give_back(delivery)
        else:
            self._rest.clear()
            self._charge(delivery, answer, outcome)

    def _charge(self, delivery: Delivery, answer: Answer, outcome: Outcome) -> None:
        """The attempt counts: to the ladder, or into a dead-letter queue when there is none left."""
        delay = None
        if outcome is Outcome.RETRY:
            policy, attempt = self._spec.retry, delivery.attempt
            if policy.schedule and not self._breaker.closed and not self._ordered:
                attempt = min(attempt, len(policy.schedule))  # one that tried a target which is down is not given up
            delay = retry_delay(policy, attempt, random.random(), answer.retry_after)
        if delay is None:
            self._give_up(delivery, answer, "rejected" if outcome is Outcome.REJECT else "exhausted")
            return
        self._record(delivery, answer, "retried", delay)
        if self._ordered:
            self.counters.retried += 1
            self._owner.wait(delivery, delay / 1000)
        else:
            self.copier.retry(
                delivery,
                answer,
                delay,
                safe=lambda: self._settled(delivery, "retried"),
                unfit=lambda: self._give_up(delivery, answer, "exhausted"),
            )

    def _give_up(self, delivery: Delivery, answer: Answer, result: Result) -> None:
        self._record(delivery, answer, result, None)
        self.copier.dead_letter(delivery, answer, result, lambda: self._settled(delivery, "dead_lettered"))

    def _failed(self, reason: str) -> None:
        self.counters.failing, self.counters.error, self.counters.error_at = True, reason, datetime.now(UTC)

    def _settled(self, delivery: Delivery, counter: str) -> None:
        setattr(self.counters, counter, getattr(self.counters, counter) + 1)
        self._owner.finish(delivery)

    def _misconfigured(self, delivery: Delivery, answer: Answer) -> None:
        """Nothing is charged: the message is fine, the consumer is not. One changed since has a clean slate."""
        if self._owner.settlement is self:
            seconds = self._rest.suspend_class(answer.status)
            if seconds is None:
                self._owner.suspend(f"the target answers {answer.reason}")
            else:
                self._owner.rest(seconds, f"the target answers {answer.reason}")
        self._record(delivery, answer, "requeued", None)
        self._owner.give_back(delivery)

    # --- saying so -------------------------------------------------------------------------------------------------

    def _record(
        self, delivery: Delivery, answer: Answer, result: Result, delay: int | None, *, kept: bool = True
    ) -> None:
        """For the log of attempts, if it is `kept` there, and for the process's own. `delay` in milliseconds."""
        now = datetime.now(UTC)
        attempt = Attempt(
            at=now,
            consumer_id=self._id,
            consumer=self._name,
            queue=self._spec.queue_name,
            message_id=delivery.source.message_id,
            attempt=delivery.attempt,
            result=result,
            status=answer.status,
            error=answer.error.value if answer.error else None,
            reason=answer.reason,
            duration_ms=round(answer.seconds * 1000),
            next_at=None if delay is None else now + timedelta(milliseconds=delay),
            sampled=result == "delivered",
        )
        if kept:
            self._wiring.attempts.add(attempt)
        if result == "delivered":
            self._log.delivered(attempt, delivery.source.properties)
        else:
            self._log.failed(attempt, delivery.source.properties, delay)

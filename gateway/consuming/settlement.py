"""From an answer to a settled delivery. Nothing is acked before its fate is safe: the target said 2xx, or the broker
confirmed a copy in the delay levels or in a dead-letter queue (copier.py). delivery/fate.py decides which."""

from __future__ import annotations

import random
import time
from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

from delivery.attempts import SAMPLE
from delivery.backoff import retry_delay
from delivery.copies import FIRST_FAILED, REPLAYED_AT, known_since
from delivery.fate import Fate, Situation, fate_of
from delivery.refusals import Refusals
from delivery.request import RequestBuilder
from delivery.template import Unsendable
from domain.attempt import Attempt, Result
from domain.outcome import Answer, ErrorClass, Outcome
from domain.registry import Subscription
from gateway.consuming.breakers import TargetBreaker
from gateway.consuming.copier import Copier
from gateway.consuming.counters import Counters
from gateway.consuming.session import Delivery
from gateway.consuming.wiring import Wiring
from gateway.metrics.instruments import ATTEMPT_BUCKETS

_NEVER_ASKED = (ErrorClass.BLOCKED, ErrorClass.UNSENDABLE)
"""Errors of ours: the target has not heard of the message."""


class Owner(Protocol):
    """The consumer, as its settlement sees it."""

    settlement: Settlement
    """the revision that is in force"""

    def finish(self, delivery: Delivery) -> None: ...

    def give_back(self, delivery: Delivery, *, first_failed: float | None = None) -> None: ...

    def wait(self, delivery: Delivery, seconds: float) -> None: ...

    def rest(self, seconds: float, reason: str) -> None: ...

    def suspend(self, reason: str) -> None: ...


class Settlement:
    """One revision of a consumer: its target, its rules, and what it has settled. Owned by the loop's thread."""

    def __init__(
        self,
        owner: Owner,
        wiring: Wiring,
        subscription: Subscription,
        breaker: TargetBreaker,
    ) -> None:
        spec = subscription.spec
        self._owner, self._wiring, self._breaker = owner, wiring, breaker
        self._spec, self._id = spec, subscription.id
        self._name = spec.name or spec.queue_name
        self.copier = Copier(self, wiring, subscription)
        self._decide = spec.outcomes.table.outcome_of
        self._requests = RequestBuilder(spec, subscription.retiring_secrets)
        self._target = wiring.http.target(spec)
        self._ordered = spec.ordering != "none"
        self._refusals = Refusals(wiring.periods.recent_success)
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
            if outcome is Outcome.THROTTLE:
                self._wiring.breakers.throttle(self._breaker, answer)
            else:
                self._breaker.answered(answer, failed=outcome is Outcome.RETRY, probe=probe)
            self.counters.attempts[bisect_left(ATTEMPT_BUCKETS, answer.seconds)] += 1
            self.counters.seconds += answer.seconds
        if not delivery.session.alive:
            return
        self.counters.last_status = answer.status
        self.counters.recent.add(answer.seconds, outcome is Outcome.SUCCESS)
        if outcome is Outcome.SUCCESS:
            self._refusals.success(time.monotonic())
            self._ack(delivery, answer)
        else:
            self._failed(answer.reason)
            fate = fate_of(outcome, self._situation(delivery, outcome, answer, probe))
            _SETTLE[fate](self, delivery, answer)

    def _situation(self, delivery: Delivery, outcome: Outcome, answer: Answer, probe: bool) -> Situation:
        others_succeed = False
        if outcome is Outcome.SUSPEND:
            others_succeed = self._refusals.refusal(time.monotonic())
        elif outcome is not Outcome.THROTTLE:
            self._refusals.failure()
        return Situation(
            attempts_left=self._charged(delivery) <= len(self._spec.retry.schedule),
            too_old=self._too_old(delivery),
            target_down=not self._breaker.closed,
            probe=probe,
            outdated=self._owner.settlement is not self,
            others_succeed=others_succeed,
            refusals=self._refusals.row,
            status=answer.status,
        )

    def _charged(self, delivery: Delivery) -> int:
        """The attempt to charge. A message that tries a target which is down is not given up for that (except where
        order matters: there it would hold up the others for good)."""
        schedule = self._spec.retry.schedule
        if schedule and not self._breaker.closed and not self._ordered:
            return min(delivery.attempt, len(schedule))
        return delivery.attempt

    def _too_old(self, delivery: Delivery) -> bool:
        limit = self._spec.retry.give_up_after
        if limit is None:
            return False
        now = time.time()
        since = known_since(delivery.source.properties, now) or delivery.first_failed
        return since is not None and now - since > limit

    # --- one way for each fate ---------------------------------------------------------------------------------------

    def _ack(self, delivery: Delivery, answer: Answer) -> None:
        self.counters.failing = False
        kept = random.random() < SAMPLE or self._ends_a_story(delivery)
        if kept or self._log.verbose:
            self._record(delivery, answer, "delivered", None, kept=kept)
        if self._spec.reply and delivery.source.properties.reply_to:
            self.copier.reply(delivery, answer, lambda: self._settled(delivery, "delivered"))
        else:
            self.counters.delivered += 1
            self._owner.finish(delivery)

    def _ends_a_story(self, delivery: Delivery) -> bool:
        """Whether the log of attempts has the failures of this message, so that it must have its success as well."""
        headers = delivery.source.properties.headers
        return delivery.attempt > 1 or (headers is not None and (REPLAYED_AT in headers or FIRST_FAILED in headers))

    def _retry(self, delivery: Delivery, answer: Answer) -> None:
        delay = retry_delay(self._spec.retry, self._charged(delivery), random.random(), answer.retry_after)
        assert delay is not None  # the fate is another one when no attempt is left
        self._record(delivery, answer, "retried", delay)
        if self._ordered:
            self.counters.retried += 1
            self._owner.wait(delivery, delay)
        else:
            self.copier.retry(
                delivery,
                answer,
                delay,
                safe=lambda: self._settled(delivery, "retried"),
                unfit=lambda: self._dead_letter(delivery, answer, "exhausted"),
            )

    def _dead_letter(self, delivery: Delivery, answer: Answer, result: Result) -> None:
        self._record(delivery, answer, result, None)
        self.copier.dead_letter(delivery, answer, result, lambda: self._settled(delivery, "dead_lettered"))

    def _reject(self, delivery: Delivery, answer: Answer) -> None:
        self._dead_letter(delivery, answer, "rejected")

    def _exhaust(self, delivery: Delivery, answer: Answer) -> None:
        self._dead_letter(delivery, answer, "exhausted")

    def _give_back(self, delivery: Delivery, answer: Answer) -> None:
        """A message whose age counts, and is not known from it, must say from now on since when it fails."""
        self._record(delivery, answer, "requeued", None)
        now = time.time()
        aging = self._spec.retry.give_up_after is not None and known_since(delivery.source.properties, now) is None
        delivery.first_failed = delivery.first_failed or now
        self._owner.give_back(delivery, first_failed=delivery.first_failed if aging else None)

    def _rest(self, delivery: Delivery, answer: Answer) -> None:
        self._owner.rest(self._refusals.rest, f"The target answers {answer.reason}.")
        self._give_back(delivery, answer)

    def _suspend(self, delivery: Delivery, answer: Answer) -> None:
        self._owner.suspend(f"The target answers {answer.reason}.")
        self._give_back(delivery, answer)

    # --- what became of it --------------------------------------------------------------------------------------------

    def copy_refused(self, delivery: Delivery, reason: str) -> None:
        """Show it; and let go of the message before the broker takes it back, if no copy can be made for long."""
        self._failed(reason)
        if delivery not in self.counters.refused_copies:
            self._wiring.loop.call_later(self._wiring.periods.held, lambda: self._copy_overdue(delivery))
        self.counters.refused_copies[delivery] = reason

    def _copy_overdue(self, delivery: Delivery) -> None:
        if delivery.open and self.counters.refused_copies.pop(delivery, None) is not None:
            delivery.given_back = True
            self._owner.give_back(delivery)

    def _failed(self, reason: str) -> None:
        self.counters.failing, self.counters.error, self.counters.error_at = True, reason, datetime.now(UTC)

    def _settled(self, delivery: Delivery, counter: str) -> None:
        self.counters.refused_copies.pop(delivery, None)
        setattr(self.counters, counter, getattr(self.counters, counter) + 1)
        self._owner.finish(delivery)

    # --- saying so -------------------------------------------------------------------------------------------------

    def _record(
        self, delivery: Delivery, answer: Answer, result: Result, delay: int | None, *, kept: bool = True
    ) -> None:
        """For the log of attempts, if it is `kept` there, and for the process's own. `delay` in seconds."""
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
            next_at=None if delay is None else now + timedelta(seconds=delay),
            sampled=result == "delivered",
        )
        if kept:
            self._wiring.attempts.add(attempt)
        if result == "delivered":
            self._log.delivered(attempt, delivery.source.properties)
        else:
            self._log.failed(attempt, delivery.source.properties, delay)


_SETTLE: dict[Fate, Callable[[Settlement, Delivery, Answer], None]] = {
    Fate.ACK: Settlement._ack,
    Fate.RETRY: Settlement._retry,
    Fate.REJECT: Settlement._reject,
    Fate.EXHAUST: Settlement._exhaust,
    Fate.GIVE_BACK: Settlement._give_back,
    Fate.REST: Settlement._rest,
    Fate.SUSPEND: Settlement._suspend,
}

"""Decides the fate of a delivery from the target's answer, and carries it out. Copies are in copier.py."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

import structlog

from delivery.backoff import retry_delay
from delivery.copies import known_since, times_forwarded, wants_reply
from delivery.fate import Fate, Otherwise, Situation, fate_of
from delivery.refusals import Refusals
from delivery.unsendable import Failed
from domain.otherwise import Forward
from domain.outcome import NEVER_ASKED, Answer, ErrorClass, Outcome
from domain.registry import Subscription
from domain.route import below
from gateway.consuming.attempt_log import AttemptObserver
from gateway.consuming.batches import Batches
from gateway.consuming.breakers import TargetBreaker
from gateway.consuming.copier import Copier
from gateway.consuming.counters import Counters
from gateway.consuming.dispatching import Dispatching
from gateway.consuming.observers import OnAnswer, OnFate, Spans, tell
from gateway.consuming.sending import Resender, Sending
from gateway.consuming.session import Delivery
from gateway.consuming.wiring import Wiring

log = structlog.get_logger("workerrmq.delivery")


class Owner(Resender, Protocol):
    """The part of the consumer that its settlement calls."""

    settlement: Settlement
    """the settlement of the current revision"""
    dispatcher: Dispatching

    def may_send(self, delivery: Delivery) -> bool:
        """Return whether a delivery may be sent now."""

    def put_back(self, delivery: Delivery) -> None:
        """Send a delivery of a batch again, after those that come before it in its queue."""

    def finish(self, delivery: Delivery) -> None:
        """Ack a delivery."""

    def give_back(self, delivery: Delivery, *, first_failed: float | None = None) -> None:
        """Return a message to its queue, uncharged. `first_failed` is in Unix seconds."""

    def wait(self, delivery: Delivery, seconds: float) -> None:
        """Attempt a delivery again after `seconds`, in order."""

    def rest(self, seconds: float, reason: str) -> None:
        """Take no messages for `seconds`."""

    def suspend(self, reason: str) -> None:
        """Take no messages until the consumer is changed or resumed."""


class Settlement:
    """Settles the deliveries of one revision of a consumer. Owned by the loop's thread."""

    def __init__(
        self, owner: Owner, wiring: Wiring, subscription: Subscription, breaker: TargetBreaker, counters: Counters
    ) -> None:
        spec = subscription.spec
        self._owner, self._wiring, self._breaker, self._spec = owner, wiring, breaker, spec
        self._counters = counters
        self.copier = Copier(self, wiring, subscription, counters)
        self.outcome = spec.outcomes.table.outcome_of
        self._ordered = spec.ordering != "none"
        self._destination = spec.otherwise.forward if isinstance(spec.otherwise, Forward) else None
        self._otherwise: Otherwise = (
            "forward" if self._destination else "discard" if spec.otherwise == "discard" else "deadLetter"
        )
        self._refusals = Refusals(wiring.periods.recent_success, wiring.periods.longest_rest)
        spans = Spans(wiring.tracing, spec.effective_name) if wiring.tracing else None
        self.sending = Sending(self, owner, wiring, subscription, spans)
        self.batches = Batches(self, owner, wiring, subscription, spans) if spec.batch else None
        self._on_answer: list[OnAnswer] = [counters.answered, *([spans.answered] if spans else [])]
        if spec.concurrency:
            self._on_answer.append(owner.dispatcher.answered)
        self._on_fate: list[OnFate] = [counters.decided, AttemptObserver(wiring.log, subscription).decided]

    # --- what the sending calls --------------------------------------------------------------------------------------

    def may_send(self, delivery: Delivery) -> bool:
        return self._current and self._owner.may_send(delivery)

    def not_sent(self, delivery: Delivery) -> None:
        probe, delivery.probe = delivery.probe, False
        self._breaker.not_asked(probe=probe)
        self._owner.dispatcher.not_sent(delivery)

    def answered(self, delivery: Delivery, answer: Answer) -> None:
        """Settle a delivery by the outcome of its attempt."""
        try:
            outcome = self.outcome(answer)
            situation = self.heard(delivery, answer, outcome)
            self._settle(delivery, answer, self.fate(delivery, outcome, situation))
        except Exception as exc:  # noqa: BLE001 - _crashed logs it
            self._crashed(delivery, exc)

    def _crashed(self, delivery: Delivery, exc: Exception) -> None:
        """Give back a delivery after an exception, which is a failure of the service."""
        log.error("settlement_crashed", message_id=delivery.source.message_id, **self._spec.who, exc_info=exc)
        if delivery.open:
            delivery.claim()
            self._refusals.unsent(time.monotonic())
            self._rest(delivery, Failed.by(exc).answer, None)

    def heard(self, delivery: Delivery, answer: Answer, outcome: Outcome) -> Situation:
        """Record the answer to a request that begins with `delivery`. Return what is the same for all its messages."""
        probe, delivery.probe = delivery.probe, False
        self._wiring.breakers.answered(self._breaker, answer, outcome, probe=probe)
        tell(self._on_answer, delivery, answer, outcome)
        if not delivery.session.alive:
            return _GONE
        if outcome is Outcome.SUCCESS:
            self._refusals.success(time.monotonic())
            return _FINE
        others_succeed = False
        if outcome is Outcome.SUSPEND:
            others_succeed = self._refusals.refusal(time.monotonic())
        elif outcome is Outcome.UNSENT:
            self._refusals.unsent(time.monotonic())
        elif outcome is Outcome.RETRY or outcome is Outcome.REJECT:
            self._refusals.failure()
        return Situation(
            target_down=not self._breaker.closed,
            probe=probe,
            outdated=not self._current,
            others_succeed=others_succeed,
            refusals=self._refusals.row,
            status=answer.status,
            otherwise=self._otherwise,
            error=answer.error,
        )

    def fate(self, delivery: Delivery, outcome: Outcome, situation: Situation) -> Fate:
        """Return the fate of a delivery in the situation of its request."""
        if not delivery.open or delivery.abandoned:
            situation = _GONE
        elif outcome is not Outcome.SUCCESS:
            situation = situation._replace(
                attempts_left=self._charged(delivery) <= len(self._spec.retry.schedule),
                too_old=(self._seconds_left(delivery) or 0) < 0,
                forwarded_enough=times_forwarded(delivery.source.properties.headers) >= MOST_FORWARDS,
            )
        return fate_of(outcome, situation)

    @property
    def _current(self) -> bool:
        """Whether the consumer still has this definition."""
        return self._owner.settlement is self

    def settle(self, delivery: Delivery, answer: Answer, fate: Fate) -> None:
        """Carry out the fate of a delivery."""
        try:
            self._settle(delivery, answer, fate)
        except Exception as exc:  # noqa: BLE001 - _crashed logs it
            self._crashed(delivery, exc)

    def _settle(self, delivery: Delivery, answer: Answer, fate: Fate) -> None:
        if fate is Fate.FORGET:
            return
        delay = None
        if fate is Fate.RETRY:
            policy, left = self._spec.retry, self._seconds_left(delivery)
            delay = retry_delay(policy, self._charged(delivery), random.random(), answer.retry_after, left)
        tell(self._on_fate, delivery, answer, fate, delay)
        _SETTLE[fate](self, delivery, answer, delay)

    def _charged(self, delivery: Delivery) -> int:
        """Return the number of the attempt to charge. Unless the consumer is ordered, a probe of a target that is down
        never uses up the last attempt. In an ordered consumer it may, because it would block its lane forever."""
        schedule = self._spec.retry.schedule
        if schedule and not self._breaker.closed and not self._ordered:
            return min(delivery.attempt, len(schedule))
        return delivery.attempt

    def _seconds_left(self, delivery: Delivery) -> float | None:
        """Return the seconds until `retry.giveUpAfter` ends, negative afterwards; None without a limit."""
        limit = self._spec.retry.give_up_after
        if limit is None:
            return None
        now = time.time()
        return (known_since(delivery.source.properties, now) or delivery.first_failed or now) + limit - now

    # --- one method per fate -----------------------------------------------------------------------------------------

    def _ack(self, delivery: Delivery, answer: Answer, _delay: int | None) -> None:
        if self._spec.reply and wants_reply(delivery.source):
            self.copier.reply(delivery, answer, lambda: self._finish(delivery, "delivered"))
        else:
            self._finish(delivery, "delivered")

    def _retry(self, delivery: Delivery, answer: Answer, delay: int | None) -> None:
        assert delay is not None  # RETRY requires an attempt that is left
        if self._ordered:
            self._counters.settled(delivery, "retried")
            self._owner.wait(delivery, delay)
        else:
            self.copier.retry(
                delivery,
                answer,
                delay,
                safe=lambda: self._finish(delivery, "retried"),
                unfit=lambda: self.settle(delivery, answer, Fate.EXHAUST),
            )

    def _dead_letter(
        self, delivery: Delivery, answer: Answer, _delay: int | None, why: str, counted: str = "dead_lettered"
    ) -> None:
        self.copier.dead_letter(delivery, answer, why, lambda: self._finish(delivery, counted))

    def _give_back(self, delivery: Delivery, answer: Answer, _delay: int | None) -> None:
        """Give back a message, as a copy with the time of its first failure if `giveUpAfter` needs its age and the
        message has no time. A message on which the service fails goes to the end, because it may fail every time."""
        now = time.time()
        aging = self._spec.retry.give_up_after is not None and known_since(delivery.source.properties, now) is None
        delivery.first_failed = delivery.first_failed or now
        self._counters.settled(delivery, "requeued")
        copied = aging or answer.error is ErrorClass.INTERNAL
        self._owner.give_back(delivery, first_failed=delivery.first_failed if copied else None)

    def _rest(self, delivery: Delivery, answer: Answer, delay: int | None) -> None:
        asked = answer.retry_after or 0 if answer.error else 0  # Retry-After of the token endpoint
        self._owner.rest(max(self._refusals.rest, asked), _sentence(answer))
        self._give_back(delivery, answer, delay)

    def _suspend(self, delivery: Delivery, answer: Answer, delay: int | None) -> None:
        self._owner.suspend(_sentence(answer))
        self._give_back(delivery, answer, delay)

    def _forward(self, delivery: Delivery, answer: Answer, _delay: int | None) -> None:
        assert self._destination is not None  # FORWARD requires a destination
        self.copier.forward(
            delivery,
            self._destination,
            safe=lambda: self._finish(delivery, "filtered"),
            unfit=lambda: self.settle(delivery, answer, Fate.SET_ASIDE),
        )

    def _route(self, delivery: Delivery, answer: Answer, _delay: int | None) -> None:
        self.copier.route(
            delivery,
            below(self._spec.queue_name, answer.detail),
            safe=lambda: self._finish(delivery, "routed"),
            unfit=lambda: self.settle(delivery, answer, Fate.SET_ASIDE),
        )

    def _finish(self, delivery: Delivery, result: str) -> None:
        self._counters.settled(delivery, result)
        self._owner.finish(delivery)

    # --- what the copier calls ---------------------------------------------------------------------------------------

    def copy_lost(self, delivery: Delivery, reason: str) -> None:
        """Return the message. If only its reply is missing, ack it instead, because the target has succeeded."""
        if delivery.succeeded:
            source = delivery.source
            who = {"message_id": source.message_id, "correlation_id": source.properties.correlation_id}
            log.warning("reply_lost", **self._spec.who, **who, reason=reason)
            self._counters.noted(f"A reply was lost. {reason}")
            self._finish(delivery, "delivered")
        else:
            self._counters.settled(delivery, "requeued")
            self._owner.give_back(delivery)


def _sentence(answer: Answer) -> str:
    """Return the reason why the consumer rests or is suspended."""
    return answer.detail if answer.error in NEVER_ASKED else f"The target answered {answer.reason}."


MOST_FORWARDS = 16
"""Maximum number of forwards of a message by filters. Then it is dead-lettered, because its route is a cycle."""

_GONE, _FINE = Situation(gone=True), Situation()

_SETTLE: dict[Fate, Callable[[Settlement, Delivery, Answer, int | None], None]] = {
    Fate.ACK: Settlement._ack,
    Fate.RETRY: Settlement._retry,
    Fate.REJECT: partial(Settlement._dead_letter, why="rejected"),
    Fate.EXHAUST: partial(Settlement._dead_letter, why="exhausted"),
    Fate.EXPIRE: partial(Settlement._dead_letter, why="expired"),
    Fate.GIVE_BACK: Settlement._give_back,
    Fate.REST: Settlement._rest,
    Fate.SUSPEND: Settlement._suspend,
    Fate.SET_ASIDE: partial(Settlement._dead_letter, why="filtered", counted="filtered"),
    Fate.FORWARD: Settlement._forward,
    Fate.DISCARD: lambda self, delivery, *_: self._finish(delivery, "filtered"),
    Fate.ROUTE: Settlement._route,
}

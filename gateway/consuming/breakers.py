"""The circuit breakers of a thread: one per target and policy, shared by the consumers that deliver to it."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from delivery.backoff import LONGEST_RETRY_AFTER
from delivery.breaker import Breaker, State
from delivery.consumer_states import Event
from domain.consumer import BreakerPolicy, ConsumerSpec
from domain.outcome import NEVER_ASKED, Answer, Outcome
from domain.registry import Subscription
from gateway.loop import Loop

log = structlog.get_logger("workerrmq.delivery")


class Member(Protocol):
    """The part of a consumer that its breaker uses."""

    subscription: Subscription

    def breaker_changed(self, event: Event) -> None:
        """Called when the breaker opens, half opens or closes, and when the probe of a half-open breaker was not
        sent."""


class TargetBreaker:
    """The breaker of one target and policy. It opens when the target fails, or asks for a pause (429, or 503 with
    Retry-After). Owned by the loop's thread."""

    def __init__(self, loop: Loop, target: str, policy: BreakerPolicy, longest_pause: float) -> None:
        """A target that asks for a pause without a duration rests for at most `longest_pause` seconds."""
        self._loop, self._policy, self._longest_pause = loop, policy, longest_pause
        self._breaker = Breaker(policy)
        self._opens_until = 0.0  # seconds of the monotonic clock
        self._pauses = 0  # pauses in a row without a duration
        self._last: str | None = None
        self.target = target
        self.throttled = False
        """whether the breaker is not closed because the target asked for a pause"""
        self.next_attempt_at: datetime | None = None
        """when the next message probes the target; meaningless unless the breaker is open"""
        self.members: set[Member] = set()

    @property
    def state(self) -> State:
        return self._breaker.state

    @property
    def closed(self) -> bool:
        return self._breaker.state is State.CLOSED

    @property
    def reason(self) -> str | None:
        """A sentence that says why the breaker is not closed and when the next attempt follows; None if closed."""
        if self.closed:
            return None
        cause = f"{self.target} asked for a pause" if self.throttled else f"Circuit breaker open for {self.target}"
        left = self._opens_until - time.monotonic()
        probing = self.state is State.HALF_OPEN
        when = "one message is probing the target" if probing else f"next attempt in {max(0, math.ceil(left))} s"
        return f"{cause}; last answer: {self._last}; {when}."

    def take_probe(self) -> bool:
        """Return whether the caller may send the probe."""
        return self._breaker.take_probe()

    def answered(self, answer: Answer, *, failed: bool, probe: bool = False) -> None:
        """Record an answer of the target; `probe` says whether it is the probe's."""
        if failed:
            self._last = answer.reason
        else:
            self._pauses = 0
        if not self._breaker.answered(failed, probe=probe):
            return
        self.throttled = False
        if self.closed:
            log.info("breaker_closed", target=self.target)
            self._tell(Event.BREAKER_CLOSED)
            return
        consumers = sorted(member.subscription.spec.effective_name for member in self.members)
        seconds = self._policy.open_seconds
        log.warning(
            "breaker_opened", target=self.target, consumers=consumers, reason=answer.reason, open_seconds=seconds
        )
        self._open(self._policy.open_seconds)

    def pause(self, seconds: float, reason: str) -> None:
        """Open for `seconds`, because the target asked for a pause. A longer pause in progress stays."""
        if not self.throttled:
            log.warning("target_throttles", target=self.target, reason=reason, pause_seconds=round(seconds, 1))
        self._last = reason
        if self._breaker.state is State.OPEN and time.monotonic() + seconds <= self._opens_until:
            return
        self.throttled = True
        self._breaker.open()
        self._open(seconds)

    def pause_without_time(self) -> float:
        """Return the seconds of a pause without a duration; they double with each such pause in a row."""
        if self._breaker.state is not State.OPEN:
            self._pauses += 1
        return float(min(self._longest_pause, 2 ** min(self._pauses - 1, 30)))

    def pause_like(self, other: TargetBreaker) -> None:
        """Adopt the pause of another breaker of the same target."""
        left = other._opens_until - time.monotonic()
        if other.throttled and left > 0 and other._last is not None:
            self.pause(left, other._last)

    def not_asked(self, *, probe: bool = False) -> None:
        """Record that no request was sent. This says nothing about the target; another message may be the probe."""
        if probe and self.state is State.HALF_OPEN:
            self._breaker.drop_probe()
            self._tell(Event.BREAKER_HALF_OPENED)

    def _open(self, seconds: float) -> None:
        self._opens_until = time.monotonic() + seconds
        self.next_attempt_at = datetime.now(UTC) + timedelta(seconds=seconds)
        self._loop.call_later(seconds, self._half_open)
        self._tell(Event.BREAKER_OPENED)

    def _half_open(self) -> None:
        if self._breaker.state is not State.OPEN or time.monotonic() < self._opens_until:
            return  # the breaker has been opened again, for longer
        self._breaker.half_open()
        self._tell(Event.BREAKER_HALF_OPENED)

    def _tell(self, event: Event) -> None:
        for member in list(self.members):
            member.breaker_changed(event)


class Breakers:
    """Finds the breaker of a consumer. Consumers share it if they have the same target and the same policy."""

    def __init__(self, loop: Loop, longest_pause: float) -> None:
        """`longest_pause` is in seconds, as in TargetBreaker."""
        self._loop, self._longest_pause = loop, longest_pause
        self._breakers: dict[tuple[str, BreakerPolicy], TargetBreaker] = {}

    def of(self, spec: ConsumerSpec) -> TargetBreaker:
        """Return the breaker for a consumer's target and policy."""
        target = spec.url.target.origin
        breaker = self._breakers.get((target, spec.breaker))
        if breaker is None:
            self._remove_unused()
            others = [one for one in self._breakers.values() if one.target == target]
            breaker = TargetBreaker(self._loop, target, spec.breaker, self._longest_pause)
            self._breakers[target, spec.breaker] = breaker
            for other in others:
                breaker.pause_like(other)
        return breaker

    def answered(self, breaker: TargetBreaker, answer: Answer, outcome: Outcome, *, probe: bool) -> None:
        """Record the answer of an attempt. Call this before the fate is decided, because the answer that opens the
        breaker is not charged."""
        if answer.error in NEVER_ASKED:
            breaker.not_asked(probe=probe)
        elif outcome is Outcome.THROTTLE:
            self.throttle(breaker, answer)
        else:
            breaker.answered(answer, failed=outcome is Outcome.RETRY, probe=probe)

    def throttle(self, breaker: TargetBreaker, answer: Answer) -> None:
        """Open all breakers of the target, of any policy, because it asks for a pause."""
        seconds = answer.retry_after
        if seconds is None:
            seconds = breaker.pause_without_time()
        for other in [one for one in self._breakers.values() if one.target == breaker.target]:
            other.pause(max(1.0, min(seconds, LONGEST_RETRY_AFTER)), answer.reason)

    def join(self, member: Member, breaker: TargetBreaker) -> None:
        """Call the member on changes of the breaker from now on."""
        breaker.members.add(member)

    def leave(self, member: Member, breaker: TargetBreaker) -> None:
        """Stop calling the member."""
        breaker.members.discard(member)
        if breaker.closed:
            self._remove_unused()

    def _remove_unused(self) -> None:
        """Remove the breakers without members, except open ones, which must stay open for the next member."""
        self._breakers = {key: one for key, one in self._breakers.items() if one.members or one.state is State.OPEN}

"""The fate of a delivery: a table from the outcome of an attempt and its situation to the action that follows.

The first row that applies decides. docs/DELIVERY.md describes the table for users; tests/unit/test_delivery_fate.py has
a test for each row.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Literal, NamedTuple

from delivery.refusals import SUSPEND_AFTER
from domain.outcome import HOPELESS, ErrorClass, Outcome

_GONE = 410
"""410 Gone means that the resource is permanently gone (RFC 9110 §15.5.11), so the first refusal suspends."""


class Fate(Enum):
    __hash__ = object.__hash__  # which is not Python code, as Enum's is

    FORGET = "forget"
    """do nothing: the broker redelivers the message, or a copy has replaced it"""
    ACK = "ack"
    RETRY = "retry"
    """charge the attempt; the next one follows after a delay"""
    REJECT = "reject"
    """charge the attempt; dead-letter the message, because no retry can help"""
    EXHAUST = "exhaust"
    """charge the attempt; dead-letter the message, because no attempt is left"""
    EXPIRE = "expire"
    """charge the attempt; dead-letter the message, because `retry.giveUpAfter` is over"""
    GIVE_BACK = "give back"
    """return the message to its queue, uncharged; the target's circuit breaker permits the next attempt"""
    REST = "rest"
    """give back the message, and let the consumer rest for some seconds"""
    SUSPEND = "suspend"
    """give back the message, and suspend the consumer until it is changed or resumed"""
    SET_ASIDE = "set aside"
    """dead-letter the message, which was not sent because it does not match the consumer's filter"""
    FORWARD = "forward"
    """publish the message elsewhere, for the same reason"""
    DISCARD = "discard"
    """ack the message, for the same reason"""
    ROUTE = "route"
    """publish the message to the queue of a route of the consumer"""


Otherwise = Literal["deadLetter", "forward", "discard"]
"""The action for messages that do not match the consumer's filter."""


class Situation(NamedTuple):
    """The conditions that decide the fate, besides the outcome."""

    attempts_left: bool = True
    """whether the retry schedule has another delay"""
    gone: bool = False
    """whether the delivery can no longer be settled: its channel is closed, or a copy has replaced it"""
    too_old: bool = False
    """whether `retry.giveUpAfter` has passed since the message was published"""
    target_down: bool = False
    """whether the target's circuit breaker is open or half open"""
    probe: bool = False
    """whether the attempt was the probe of a target that is down"""
    outdated: bool = False
    """whether the consumer was changed after the attempt began"""
    others_succeed: bool = False
    """whether other messages of the consumer succeeded recently"""
    refusals: int = 1
    """refusals in a row, including this one"""
    status: int | None = None
    otherwise: Otherwise = "deadLetter"
    forwarded_enough: bool = False
    """whether the message was forwarded so often that it must be going in a circle"""
    error: ErrorClass | None = None


_Condition = Callable[[Situation], bool]

_always = None  # no condition
_gone: _Condition = lambda s: s.gone  # noqa: E731
_too_old: _Condition = lambda s: s.too_old  # noqa: E731

TABLE: tuple[tuple[Outcome | None, _Condition | None, Fate], ...] = (
    (None, _gone, Fate.FORGET),  # for any outcome
    (Outcome.SUCCESS, _always, Fate.ACK),
    (Outcome.REJECT, _always, Fate.REJECT),
    (Outcome.THROTTLE, _too_old, Fate.EXPIRE),
    (Outcome.THROTTLE, _always, Fate.GIVE_BACK),
    (Outcome.RETRY, _too_old, Fate.EXPIRE),
    (Outcome.RETRY, lambda s: s.target_down and not s.probe, Fate.GIVE_BACK),
    (Outcome.RETRY, lambda s: s.attempts_left, Fate.RETRY),
    (Outcome.RETRY, _always, Fate.EXHAUST),
    (Outcome.UNSENT, lambda s: s.outdated, Fate.GIVE_BACK),
    (Outcome.UNSENT, _always, Fate.REST),
    (Outcome.SUSPEND, lambda s: s.outdated, Fate.GIVE_BACK),
    (Outcome.SUSPEND, lambda s: s.error in HOPELESS, Fate.SUSPEND),
    (Outcome.SUSPEND, lambda s: s.others_succeed and s.too_old, Fate.EXPIRE),
    (Outcome.SUSPEND, lambda s: s.others_succeed and s.attempts_left, Fate.RETRY),
    (Outcome.SUSPEND, lambda s: s.others_succeed, Fate.EXHAUST),
    (Outcome.SUSPEND, lambda s: s.refusals >= SUSPEND_AFTER or s.status == _GONE, Fate.SUSPEND),
    (Outcome.SUSPEND, _always, Fate.REST),
    (Outcome.FILTERED, lambda s: s.otherwise == "discard", Fate.DISCARD),
    (Outcome.FILTERED, lambda s: s.otherwise == "forward" and not s.forwarded_enough, Fate.FORWARD),
    (Outcome.FILTERED, _always, Fate.SET_ASIDE),
    (Outcome.ROUTED, _always, Fate.ROUTE),
)

_ROWS = {outcome: [(applies, fate) for of, applies, fate in TABLE if of in (None, outcome)] for outcome in Outcome}


def fate_of(outcome: Outcome, situation: Situation) -> Fate:
    """Return the fate of a delivery whose attempt had this outcome in this situation."""
    for applies, fate in _ROWS[outcome]:
        if applies is None or applies(situation):
            return fate
    raise AssertionError("the last row of every outcome always applies")

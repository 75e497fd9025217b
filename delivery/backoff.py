"""How long to wait: before the next attempt of a delivery, and before trying a lost connection again."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from math import ceil

from domain.consumer import RetryPolicy

JITTER_STEPS = 2
"""Steps on either side of a delay. Each is one rung of the ladder, so few: five rungs for a delay with jitter."""

LONGEST_RETRY_AFTER = 86_400.0
"""Seconds. A target that asks for more than a day is taken to have meant a day."""


def retry_delay(policy: RetryPolicy, attempt: int, spread: float, retry_after: float | None = None) -> int | None:
    """Milliseconds before the attempt after number `attempt` (from 1); None when there is none left.

    `spread` is a random number in [0, 1) and picks the step of jitter. `retry_after`, in seconds, is a lower bound
    (RFC 9110 §10.2.3), so a delay made longer by it is rounded up to one of a few rungs, never down.
    """
    if attempt > len(policy.schedule):
        return None
    delay = policy.schedule[attempt - 1]
    if policy.jitter:
        step = int(spread * (2 * JITTER_STEPS + 1)) - JITTER_STEPS
        delay *= 1 + policy.jitter * step / JITTER_STEPS
    if retry_after is not None and retry_after > delay:
        return _rung_above(min(retry_after, LONGEST_RETRY_AFTER))
    return max(1000, round(delay * 1000))


def rungs(policy: RetryPolicy) -> frozenset[int]:
    """All delays in milliseconds that the policy can come to, when no target asks for a longer one."""
    steps = range(2 * JITTER_STEPS + 1)
    spreads = [(step + 0.5) / len(steps) for step in steps]
    delays = (
        retry_delay(policy, attempt, spread) for attempt in range(1, len(policy.schedule) + 1) for spread in spreads
    )
    return frozenset(delay for delay in delays if delay is not None)


def retry_after(value: str, now: float) -> float | None:
    """Seconds that a Retry-After header asks for: a number of them, or a date (RFC 9110 §10.2.3); None for nonsense.
    `now` in Unix seconds."""
    value = value.strip()
    if value.isascii() and value.replace(".", "", 1).isdigit():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
        return max(0.0, date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _rung_above(seconds: float) -> int:
    """Targets ask for any number of seconds; two digits of it keep the ladder at 90 rungs per power of ten."""
    unit = 1
    while seconds > 100 * unit:
        unit *= 10
    return max(1, ceil(seconds / unit) * unit) * 1000


def reconnect_delay(failures: int, spread: float) -> float:
    """Seconds before try number `failures` + 1 to connect: doubling from a quarter second to five, ± 25 %."""
    return float(min(5.0, 0.25 * 2 ** min(failures, 10)) * (0.75 + 0.5 * spread))

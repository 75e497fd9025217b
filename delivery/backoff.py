"""How long to wait: before the next attempt of a delivery, and before trying a lost connection again."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from math import ceil

from delivery.delays import coarse
from domain.consumer import RetryPolicy

LONGEST_RETRY_AFTER = 86_400.0
"""Seconds. A longer Retry-After counts as one day."""


def retry_delay(
    policy: RetryPolicy, attempt: int, spread: float, retry_after: float | None = None, left: float | None = None
) -> int | None:
    """Whole seconds before the attempt after number `attempt` (from 1); None when no attempt is left.

    `spread` is a random number in [0, 1) and picks the jitter. `retry_after`, in seconds, is a lower bound (RFC 9110
    §10.2.3) and is kept to the second; a delay of the schedule is rounded up as `coarse` says. It is shortened where
    `giveUpAfter` is over before, in `left` seconds: the last attempt is made then.
    """
    if attempt > len(policy.schedule):
        return None
    delay = policy.schedule[attempt - 1] * (1 + policy.jitter * (2 * spread - 1))
    if retry_after is not None and retry_after > delay:
        return max(1, ceil(min(retry_after, LONGEST_RETRY_AFTER)))
    if left is not None and left < delay:
        return max(1, ceil(left))
    return coarse(max(1, round(delay)) if policy.jitter else ceil(delay))


def longest_delay(policy: RetryPolicy) -> int:
    """The longest delay in seconds that the schedule comes to with any jitter; 0 when there is no retry."""
    attempts = range(1, len(policy.schedule) + 1)
    return max((retry_delay(policy, attempt, 1.0) or 0 for attempt in attempts), default=0)


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


def reconnect_delay(failures: int, spread: float) -> float:
    """Seconds before try number `failures` + 1 to connect: doubling from a quarter second to five, ± 25 %."""
    return float(min(5.0, 0.25 * 2 ** min(failures, 10)) * (0.75 + 0.5 * spread))

"""Backoff: delays before the next attempt of a delivery, and before the next attempt to connect."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import ceil

from delivery.delays import coarse
from delivery.header_values import iso_time
from domain.consumer import RetryPolicy

LONGEST_RETRY_AFTER = 86_400.0
"""Seconds. A longer Retry-After is reduced to one day."""


def retry_delay(
    policy: RetryPolicy, attempt: int, spread: float, retry_after: float | None = None, left: float | None = None
) -> int | None:
    """Return the whole seconds to wait after attempt number `attempt` (from 1); None if no attempt is left.

    `spread` is a random number in [0, 1) that selects the jitter. `retry_after`, in seconds, is a lower bound (RFC 9110
    §10.2.3) and rounded up to the next second; a delay from the schedule is rounded up by `coarse`. If `giveUpAfter` is
    over earlier, in `left` seconds, the last attempt is made then.
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
    """Return the longest possible delay of the schedule, with jitter, in seconds; 0 if the schedule is empty."""
    attempts = range(1, len(policy.schedule) + 1)
    return max((retry_delay(policy, attempt, 1.0) or 0 for attempt in attempts), default=0)


def retry_after(value: str, now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for, given as a number or a date (RFC 9110 §10.2.3); None if it
    is malformed. `now` is in Unix seconds."""
    value = value.strip()
    if value.isascii() and value.replace(".", "", 1).isdigit():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
        return max(0.0, date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def next_attempt(seconds: float, now: float) -> str:
    """Return when the next attempt follows, as the end of a sentence: in `seconds`, or, if that is more than a minute,
    at which time (RFC 3339). `now` is in Unix seconds."""
    if seconds <= 60:
        return f"next attempt in {max(0, ceil(seconds))} s"
    return f"next attempt at {iso_time(datetime.fromtimestamp(ceil(now + seconds), UTC))}"


def reconnect_delay(failures: int, spread: float) -> float:
    """Return the seconds to wait before the next attempt to connect: 0.25, doubled with each failure up to 5, ± 25 %.
    `spread` is a random number in [0, 1)."""
    return float(min(5.0, 0.25 * 2 ** min(failures, 10)) * (0.75 + 0.5 * spread))

"""The timestamp of a message, which its publisher's clock has written: seconds, where the publisher keeps to AMQP."""

from __future__ import annotations


def plausible(seconds: float, now: float, ahead: float = 3600.0) -> bool:
    """Whether a timestamp in Unix seconds can be true. A publisher's clock may be up to `ahead` seconds fast; a
    timestamp beyond that is in milliseconds, or nonsense (AMQP 0-9-1 §4.2.5.4)."""
    return 0 < seconds <= now + ahead

"""Checks the timestamp of a message, which comes from its publisher's clock and should be in seconds."""

from __future__ import annotations


def plausible(seconds: float, now: float, ahead: float = 3600.0) -> bool:
    """Return whether a timestamp is plausible as Unix seconds. A publisher's clock may be up to `ahead` seconds fast; a
    later timestamp is in milliseconds or invalid (AMQP 0-9-1 §4.2.5.4)."""
    return 0 < seconds <= now + ahead

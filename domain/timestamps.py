"""Checks the timestamp of a message, which comes from its publisher's clock and should be in seconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def plausible(seconds: float, now: float, ahead: float = 3600.0) -> bool:
    """Return whether a timestamp is plausible as Unix seconds. A publisher's clock may be up to `ahead` seconds fast; a
    later timestamp is in milliseconds or invalid (AMQP 0-9-1 §4.2.5.4)."""
    return 0 < seconds <= now + ahead


def as_text(seconds: float) -> str:
    """The time in UTC as headers of ours have it (RFC 3339, to the millisecond). `seconds` in Unix seconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def from_text(text: Any) -> float | None:
    """Unix seconds of a time as `as_text` writes it; None for anything else."""
    try:
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
    except (ValueError, OverflowError):
        return None

"""Retention times of records that the store deletes."""

from __future__ import annotations

from dataclasses import dataclass

_DAY = 24 * 3600


@dataclass(frozen=True, slots=True)
class Retention:
    """All values are in seconds. MongoDB removes expired records about once a minute."""

    attempts: int = 7 * _DAY
    """after the attempt"""
    audit: int = 90 * _DAY
    """after the time of the entry"""
    scheduled: int = _DAY
    """after the time at which the message was due"""
    replays: int = 7 * _DAY
    """after the last progress of the replay"""
    idempotency: int = _DAY
    """after the answer to a request with an Idempotency-Key"""

"""The periods of a Reconciler, so that a test can live through several of each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SteeringPeriods:
    """All in seconds."""

    turn: float = 1.0
    """between two looks at the registry's version, and between two heartbeats"""
    registry: float = 30.0
    """before the whole registry is read although its version has not changed"""
    facts: float = 30.0
    """before the broker is asked again what the queues are, when nothing has changed"""
    facts_of_unknown: float = 2.0
    """the same while a queue that has a consumer is not known"""
    facts_patience: float = 1.0
    """that a change waits for the management API to say what the queues are now"""
    first_pause: float = 1.0
    """before a consumer thread that crashed is restarted; doubled with each crash"""
    longest_pause: float = 60.0
    """at most, before it is restarted"""
    sound_after: float = 10.0
    """that a consumer thread runs before its crashes are forgotten"""

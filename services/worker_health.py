"""Decides whether a worker process is live (its threads make progress) and ready (it can deliver).

A supervisor restarts a process that is not live. RabbitMQ or MongoDB being down is no reason for that: a restart does
not help (https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a worker's threads. Times are those of time.monotonic()."""

    looped_at: float
    """last report of the loop that delivers"""
    steered_at: float
    """last time that the reconciler began to compare the registry with its consumers"""
    fault: str | None
    """why the process may not consume"""
    not_connected: str | None
    """why the loop has no connection to RabbitMQ"""
    registry_read: bool
    """whether the process has read its consumers from MongoDB, at least once"""
    stopping: bool

    def why_not_live(self, now: float, stalled_after: float) -> str | None:
        """Return why the process must be restarted, or None. A thread that made no progress for `stalled_after` seconds
        is hung. A process that stops is live: its drain has its own deadline."""
        if self.stopping:
            return None
        for thread, at in (("delivery loop", self.looped_at), ("reconciler", self.steered_at)):
            if (silent := now - at) > stalled_after:
                return f"The {thread} has made no progress for {silent:.0f} s."
        return self.fault

    def why_not_ready(self) -> str | None:
        """Return why the process cannot deliver now, or None. Consumers run on while MongoDB is down, so MongoDB counts
        only until the registry has been read."""
        if self.stopping:
            return "The worker is shutting down."
        if self.fault or self.not_connected:
            return self.fault or f"Not connected to RabbitMQ: {self.not_connected}"
        return None if self.registry_read else "The consumers have not been read from MongoDB yet."

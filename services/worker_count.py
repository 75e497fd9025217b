"""Counts the live worker processes, and the enabled consumers for them."""

from __future__ import annotations

from dataclasses import dataclass

from domain.errors import StoreUnavailable
from domain.registry import ConsumerFilter
from gateway.mongo.consumers import ConsumerRegistry
from gateway.mongo.heartbeats import Heartbeats


@dataclass(frozen=True, slots=True)
class Workers:
    """The live worker processes of all hosts: their number, and the ages in seconds of the latest and the oldest of
    their heartbeats."""

    live: int
    enabled_consumers: int
    latest_heartbeat: float | None
    oldest_heartbeat: float | None

    @property
    def detail(self) -> str | None:
        """Return a sentence when consumers are enabled but no worker is alive, otherwise None."""
        if self.live or not self.enabled_consumers:
            return None
        return "No worker is alive, so no message is delivered. Run WorkerRMQ.py, or gunicorn with CONSUMERS=inline."


class WorkerCount:
    """Thread-safe."""

    def __init__(self, heartbeats: Heartbeats, registry: ConsumerRegistry) -> None:
        self._heartbeats, self._registry = heartbeats, registry

    def __call__(self) -> Workers | None:
        """Return the counts, or None while the store is down."""
        try:
            ages = self._heartbeats.ages()
            enabled = self._registry.find(1, 1, ConsumerFilter(desired="enabled")).total
        except StoreUnavailable:
            return None
        return Workers(len(ages), enabled, min(ages, default=None), max(ages, default=None))

"""How many worker processes live, and whether there is work for them."""

from __future__ import annotations

from dataclasses import dataclass

from domain.errors import StoreUnavailable
from domain.registry import ConsumerFilter
from gateway.mongo.consumers import ConsumerRegistry
from gateway.mongo.heartbeats import Heartbeats


@dataclass(frozen=True, slots=True)
class Workers:
    """The worker processes of all hosts: how many live, and how many seconds ago the latest and the longest silent of
    them was heard of."""

    live: int
    enabled_consumers: int
    latest_heartbeat: float | None
    oldest_heartbeat: float | None

    @property
    def detail(self) -> str | None:
        """A sentence, when there is work and nobody to do it."""
        if self.live or not self.enabled_consumers:
            return None
        return "No worker is alive, so nothing is delivered: run WorkerRMQ.py, or gunicorn with CONSUMERS=inline."


class WorkerCount:
    """Thread-safe."""

    def __init__(self, heartbeats: Heartbeats, registry: ConsumerRegistry) -> None:
        self._heartbeats, self._registry = heartbeats, registry

    def __call__(self) -> Workers | None:
        """None while the store does not answer."""
        try:
            ages = self._heartbeats.ages()
            enabled = self._registry.find(1, 1, ConsumerFilter(desired="enabled")).total
        except StoreUnavailable:
            return None
        return Workers(len(ages), enabled, min(ages, default=None), max(ages, default=None))

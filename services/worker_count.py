"""Counts the live worker processes, and the enabled consumers for them."""

from __future__ import annotations

from domain.errors import StoreUnavailable
from domain.model import Model
from domain.registry import ConsumerFilter
from gateway.mongo.consumers import ConsumerRegistry
from gateway.mongo.heartbeats import Heartbeats

_NO_WORKER = "No worker is alive, so no message is delivered. Run WorkerRMQ.py, or gunicorn with CONSUMERS=inline."


class WorkersState(Model):
    """The live worker processes of all hosts: their number, and the ages of the latest and the oldest of their
    heartbeats. `detail` is set when consumers are enabled but no worker is alive."""

    live: int
    enabled_consumers: int
    latest_heartbeat_seconds: float | None
    oldest_heartbeat_seconds: float | None
    detail: str | None


def count_workers(heartbeats: Heartbeats, registry: ConsumerRegistry) -> WorkersState | None:
    """Return the counts, or None while the store is down."""
    try:
        ages = heartbeats.ages()
        enabled = registry.find(1, 1, ConsumerFilter(desired="enabled")).total
    except StoreUnavailable:
        return None
    return WorkersState(
        live=len(ages),
        enabled_consumers=enabled,
        latest_heartbeat_seconds=min(ages, default=None),
        oldest_heartbeat_seconds=max(ages, default=None),
        detail=_NO_WORKER if enabled and not ages else None,
    )

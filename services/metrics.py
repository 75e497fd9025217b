"""The metrics that Prometheus scrapes: counters of this host's processes, and gauges of the whole service."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence

from domain.overview import ConsumerOutline
from domain.registry import Heartbeat
from gateway.metrics.exposition import CONTENT_TYPE, Exposition
from gateway.mongo.consumers import ConsumerRegistry
from gateway.mongo.heartbeats import Heartbeats
from services import gauges
from services.fresh import Fresh
from services.health import Health
from services.queue_watch import QueueWatch

Workers = tuple[Sequence[ConsumerOutline], Sequence[Heartbeat]]


class Metrics:
    """Thread-safe. Gauges of a dependency that is down are left out; counters are always included."""

    content_type = CONTENT_TYPE

    def __init__(
        self,
        exposition: Exposition,
        health: Health,
        watch: QueueWatch,
        registry: ConsumerRegistry,
        heartbeats: Heartbeats,
        version: str,
    ) -> None:
        def workers() -> Workers:
            return registry.outlines(), heartbeats.live()

        self._exposition, self._health, self._version = exposition, health, version
        self._queues = Fresh(watch.look, "metrics-queues")
        self._workers = Fresh(workers, "metrics-workers")

    def scrape(self) -> bytes:
        """Return the metrics in Prometheus' text format, within about a second."""
        until = time.monotonic() + self._health.timeout
        self._queues.ask()
        self._workers.ask()
        dependencies = self._health.look().dependencies
        found = gauges.of_dependencies(dependencies)
        found[gauges.BUILD] = {(self._version, platform.python_version()): 1}
        if (workers := self._workers.latest(until)) is not None:
            found |= gauges.of_workers(*workers)
        if (seen := self._queues.latest(until)) is not None:
            found |= gauges.of_queues(seen.queues)
        names = frozenset(one.name for one in workers[0]) if workers else None
        return self._exposition.text(found, names)

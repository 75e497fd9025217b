"""The metrics that Prometheus scrapes: counters of this host's processes, and gauges of the whole service."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Mapping, Sequence

from domain.gauge import Readings
from domain.overview import ConsumerOutline
from domain.registry import Heartbeat
from gateway.metrics.exposition import CONTENT_TYPE, Exposition
from gateway.mongo.consumers import ConsumerRegistry
from gateway.mongo.heartbeats import Heartbeats
from services import gauges
from services.fresh import Fresh
from services.health import DependencyState, Health
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
        workers = self._workers.latest(until)
        names = frozenset(one.name for one in workers[0]) if workers else None
        return self._exposition.text(self._read(dependencies, workers, until), names)

    def _read(
        self, dependencies: Mapping[str, DependencyState], workers: Workers | None, until: float
    ) -> Iterator[Readings]:
        yield gauges.BUILD.reads({(self._version, platform.python_version()): 1})
        yield from gauges.of_dependencies(dependencies)
        if workers is not None:
            yield from gauges.of_workers(*workers)
        seen = self._queues.latest(until)
        if seen is not None:
            yield from gauges.of_queues(seen.queues)

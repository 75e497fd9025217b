"""Checks the dependencies of the service, and whether a worker delivers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from typing import NamedTuple

from domain.errors import StoreUnavailable, WorkerError
from domain.model import Model
from domain.registry import ConsumerFilter
from gateway.mongo.consumers import ConsumerRegistry
from gateway.mongo.heartbeats import Heartbeats
from services.complaints import Complaints


class DependencyState(Model):
    """Whether a dependency answered, the duration in milliseconds, and the error in `detail` if it is down."""

    up: bool
    milliseconds: float
    detail: str | None


class WorkersState(Model):
    """The live worker processes of all hosts: their number, and the ages of the latest and the oldest of their
    heartbeats. `detail` is set when consumers are enabled but no worker is alive."""

    live: int
    enabled_consumers: int
    latest_heartbeat_seconds: float | None
    oldest_heartbeat_seconds: float | None
    detail: str | None


class Findings(NamedTuple):
    """The results of all probes, by dependency; `workers` is None when the store did not answer in time."""

    dependencies: dict[str, DependencyState]
    workers: WorkersState | None


class Health:
    """Thread-safe."""

    def __init__(
        self,
        probes: Mapping[str, Callable[[], None]],
        workers: Callable[[], WorkersState | None],
        *,
        timeout: float = 1.0,
        complaints: Complaints | None = None,
    ) -> None:
        """`probes` are keyed by dependency. A probe returns when the dependency is up and raises a domain error when it
        is down. Probes run in parallel; one that takes longer than `timeout` seconds counts as down."""
        self.timeout = timeout
        self._probes = dict(probes)
        self._count_workers = workers
        self._threads = ThreadPoolExecutor(2 * len(self._probes) + 2, thread_name_prefix="health")
        self._running: dict[str, Future[DependencyState]] = {}
        self._counting: Future[WorkersState | None] | None = None
        self._complaints = complaints or Complaints()

    def look(self) -> Findings:
        """Run all probes and return the results within about `timeout`. A probe that hangs counts as down, and is not
        started again until it ends."""
        for name, probe in self._probes.items():
            if name not in self._running or self._running[name].done():
                self._running[name] = self._threads.submit(_measured, probe)
        if self._counting is None or self._counting.done():
            self._counting = self._threads.submit(self._count_workers)
        counting, deadline = self._counting, time.monotonic() + self.timeout
        found = {name: self._outcome(future, deadline) for name, future in list(self._running.items())}
        for name, one in found.items():
            self._complaints.report(name, "health", one.detail)
        try:
            return Findings(found, counting.result(max(0.0, deadline - time.monotonic())))
        except StillRunning:
            return Findings(found, None)

    def _outcome(self, future: Future[DependencyState], deadline: float) -> DependencyState:
        try:
            return future.result(max(0.0, deadline - time.monotonic()))
        except StillRunning:
            detail = f"no answer within {self.timeout:g} s"
            return DependencyState(up=False, milliseconds=self.timeout * 1000, detail=detail)


def _measured(probe: Callable[[], None]) -> DependencyState:
    started = time.monotonic()
    try:
        probe()
        detail = None
    except WorkerError as exc:
        detail = exc.detail
    milliseconds = round((time.monotonic() - started) * 1000, 1)
    return DependencyState(up=detail is None, milliseconds=milliseconds, detail=detail)


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


_NO_WORKER = "No worker is alive, so no message is delivered. Run WorkerRMQ.py, or gunicorn with CONSUMERS=inline."

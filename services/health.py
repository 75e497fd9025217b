"""Checks the dependencies of the service, and whether a worker delivers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from dataclasses import dataclass

from domain.errors import WorkerError
from services.complaints import Complaints
from services.worker_count import Workers


@dataclass(frozen=True, slots=True)
class Dependency:
    """The result of one probe: whether the dependency answered, after how many milliseconds, and the error if not."""

    name: str
    up: bool
    milliseconds: float
    detail: str | None


@dataclass(frozen=True, slots=True)
class Findings:
    """The results of all probes; `workers` is None when the store did not answer in time."""

    dependencies: list[Dependency]
    workers: Workers | None


class Health:
    """Thread-safe."""

    def __init__(
        self,
        probes: Mapping[str, Callable[[], None]],
        workers: Callable[[], Workers | None],
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
        self._running: dict[str, Future[Dependency]] = {}
        self._counting: Future[Workers | None] | None = None
        self._complaints = complaints or Complaints()

    def look(self) -> Findings:
        """Run all probes and return the results within about `timeout`. A probe that hangs counts as down, and is not
        started again until it ends."""
        for name, probe in self._probes.items():
            if name not in self._running or self._running[name].done():
                self._running[name] = self._threads.submit(_measured, name, probe)
        if self._counting is None or self._counting.done():
            self._counting = self._threads.submit(self._count_workers)
        counting, deadline = self._counting, time.monotonic() + self.timeout
        found = [self._outcome(name, future, deadline) for name, future in list(self._running.items())]
        for one in found:
            self._complaints.report(one.name, "health", one.detail)
        try:
            return Findings(found, counting.result(max(0.0, deadline - time.monotonic())))
        except StillRunning:
            return Findings(found, None)

    def _outcome(self, name: str, future: Future[Dependency], deadline: float) -> Dependency:
        try:
            return future.result(max(0.0, deadline - time.monotonic()))
        except StillRunning:
            return Dependency(name, False, self.timeout * 1000, f"no answer within {self.timeout:g} s")


def _measured(name: str, probe: Callable[[], None]) -> Dependency:
    started = time.monotonic()
    try:
        probe()
        detail = None
    except WorkerError as exc:
        detail = exc.detail
    return Dependency(name, detail is None, round((time.monotonic() - started) * 1000, 1), detail)

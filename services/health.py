"""Whether what the service needs is there, and whether anybody delivers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from dataclasses import dataclass

import structlog

from domain.errors import WorkerError
from services.worker_count import Workers

log = structlog.get_logger("workerrmq.health")


@dataclass(frozen=True, slots=True)
class Dependency:
    """One of them: whether it answered, after how many milliseconds, and else why not."""

    name: str
    up: bool
    milliseconds: float
    detail: str | None


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found; `workers` is None when the store has not told in time."""

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
    ) -> None:
        """`probes`: by name of the dependency, what returns when it is up and raises a domain error when it is not.
        They are asked at the same time; one that takes longer than `timeout` seconds counts as down."""
        self.timeout = timeout
        self._probes = dict(probes)
        self._count_workers = workers
        self._threads = ThreadPoolExecutor(2 * len(self._probes) + 2, thread_name_prefix="health")
        self._running: dict[str, Future[Dependency]] = {}
        self._counting: Future[Workers | None] | None = None
        self._down: set[str] = set()

    def look(self) -> Findings:
        """All of it, within about `timeout`: a probe that hangs counts as down, and is not started a second time."""
        for name, probe in self._probes.items():
            if name not in self._running or self._running[name].done():
                self._running[name] = self._threads.submit(_measured, name, probe)
        if self._counting is None or self._counting.done():
            self._counting = self._threads.submit(self._count_workers)
        counting, deadline = self._counting, time.monotonic() + self.timeout
        found = [self._outcome(name, future, deadline) for name, future in list(self._running.items())]
        for one in found:
            self._tell(one)
        try:
            return Findings(found, counting.result(max(0.0, deadline - time.monotonic())))
        except StillRunning:
            return Findings(found, None)

    def _outcome(self, name: str, future: Future[Dependency], deadline: float) -> Dependency:
        try:
            return future.result(max(0.0, deadline - time.monotonic()))
        except StillRunning:
            return Dependency(name, False, self.timeout * 1000, f"no answer within {self.timeout:g} s")

    def _tell(self, found: Dependency) -> None:
        """Once that it is away, and once that it is back."""
        if not found.up and found.name not in self._down:
            self._down.add(found.name)
            log.warning("dependency_unavailable", dependency=found.name, reason=found.detail)
        elif found.up and found.name in self._down:
            self._down.discard(found.name)
            log.info("dependency_available", dependency=found.name)


def _measured(name: str, probe: Callable[[], None]) -> Dependency:
    started = time.monotonic()
    try:
        probe()
        detail = None
    except WorkerError as exc:
        detail = exc.detail
    return Dependency(name, detail is None, round((time.monotonic() - started) * 1000, 1), detail)

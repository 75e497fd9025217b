"""Whether what the service needs is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from dataclasses import dataclass

from domain.errors import WorkerError

TIMEOUT = 1.0  # seconds for all dependencies together: they are asked at the same time


@dataclass(frozen=True, slots=True)
class Dependency:
    """One of them: whether it answered, after how many milliseconds, and else why not."""

    name: str
    up: bool
    milliseconds: float
    detail: str | None


class Health:
    """Thread-safe."""

    def __init__(self, probes: Mapping[str, Callable[[], None]]) -> None:
        """`probes`: by name of the dependency, what returns when it is up and raises a domain error when it is not."""
        self._probes = dict(probes)
        self._threads = ThreadPoolExecutor(2 * len(self._probes), thread_name_prefix="health")
        self._running: dict[str, Future[Dependency]] = {}

    def dependencies(self) -> list[Dependency]:
        """All of them, within about a second: a probe that hangs counts as down, and is not started a second time."""
        for name, probe in self._probes.items():
            if name not in self._running or self._running[name].done():
                self._running[name] = self._threads.submit(_measured, name, probe)
        deadline = time.monotonic() + TIMEOUT
        return [self._outcome(name, future, deadline) for name, future in list(self._running.items())]

    def _outcome(self, name: str, future: Future[Dependency], deadline: float) -> Dependency:
        try:
            return future.result(max(0.0, deadline - time.monotonic()))
        except StillRunning:
            return Dependency(name, False, TIMEOUT * 1000, f"no answer within {TIMEOUT:g} s")


def _measured(name: str, probe: Callable[[], None]) -> Dependency:
    started = time.monotonic()
    try:
        probe()
        detail = None
    except WorkerError as exc:
        detail = exc.detail
    return Dependency(name, detail is None, round((time.monotonic() - started) * 1000, 1), detail)

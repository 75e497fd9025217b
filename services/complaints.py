"""Failures of dependencies in the log: each reason once in an outage, and once that the dependency is back."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from domain.errors import WorkerError

log = structlog.get_logger("workerrmq.dependencies")


@dataclass(slots=True)
class _Outage:
    """`failing` tasks of a dependency, and the reasons that were logged since the first of them failed."""

    failing: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)


class Complaints:
    """Thread-safe. Shared by all services of a process, so that they log an outage once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outages: dict[str, _Outage] = defaultdict(_Outage)

    def attempt(self, dependency: str, task: str, action: Callable[[], object]) -> bool:
        """Run `action`, a task for which the dependency is needed. Return whether it raised no WorkerError."""
        try:
            action()
        except WorkerError as exc:
            self.report(dependency, task, exc.detail)
            return False
        self.report(dependency, task, None)
        return True

    def report(self, dependency: str, task: str, reason: str | None) -> None:
        """Note that a task failed for that reason, or with None that it succeeded."""
        with self._lock:
            outage = self._outages[dependency]
            if reason is None:
                outage.failing.discard(task)
                over = bool(outage.told) and not outage.failing
                if over:
                    outage.told.clear()
            else:
                outage.failing.add(task)
                new = reason not in outage.told
                outage.told.add(reason)
        if reason is None:
            if over:
                log.info("dependency_available", dependency=dependency)
        elif new:
            log.warning("dependency_unavailable", dependency=dependency, reason=reason)

"""Logs failures of dependencies: each reason once per outage, and once that the dependency is available again. Logs
every failure of the service itself."""

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
    """The tasks of a dependency that are failing, and the reasons that were logged during this outage."""

    failing: set[str] = field(default_factory=set)
    logged: set[str] = field(default_factory=set)


class Complaints:
    """Thread-safe. All services of a process share one instance, so that each outage is logged once. Stop it after the
    services: a thread that waited for a dependency longer than its service may take to stop logs nothing then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outages: dict[str, _Outage] = defaultdict(_Outage)
        self._stopped = False

    def start(self) -> None:
        self._stopped = False

    def stop(self, timeout: float = 0.0) -> None:
        self._stopped = True

    def attempt(self, dependency: str, task: str, action: Callable[[], object]) -> bool:
        """Run `action`, which uses the dependency, and report the result. Return whether it succeeded. No bug raises,
        because it would end the thread that repeats the action."""
        try:
            action()
        except WorkerError as exc:
            self.report(dependency, task, exc.detail)
            return False
        except Exception:
            if not self._stopped:
                log.exception("task_crashed", dependency=dependency, task=task)
            return False
        self.report(dependency, task, None)
        return True

    def report(self, dependency: str, task: str, reason: str | None) -> None:
        """Record that a task failed for `reason`, or that it succeeded if `reason` is None."""
        if self._stopped:
            return
        with self._lock:
            outage = self._outages[dependency]
            if reason is None:
                outage.failing.discard(task)
                over = bool(outage.logged) and not outage.failing
                if over:
                    outage.logged.clear()
            else:
                outage.failing.add(task)
                new = reason not in outage.logged
                outage.logged.add(reason)
        if reason is None:
            if over:
                log.info("dependency_available", dependency=dependency)
        elif new:
            log.warning("dependency_unavailable", dependency=dependency, reason=reason)

"""Failures of dependencies in the log: each reason once, and once that the dependency is back."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable

import structlog

from domain.errors import WorkerError

log = structlog.get_logger("workerrmq.worker")


class Complaints:
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failing: dict[str, dict[str, str]] = defaultdict(dict)
        """by dependency: the tasks that fail, and why"""

    def attempt(self, dependency: str, task: str, action: Callable[[], object]) -> bool:
        """Run `action`, a task for which the dependency is needed. Return whether it raised no WorkerError."""
        try:
            action()
        except WorkerError as exc:
            self._failed(dependency, task, exc.detail)
            return False
        self._succeeded(dependency, task)
        return True

    def _failed(self, dependency: str, task: str, reason: str) -> None:
        with self._lock:
            reasons = self._failing[dependency]
            new = reason not in reasons.values()
            reasons[task] = reason
        if new:
            log.warning("dependency_unavailable", dependency=dependency, reason=reason)

    def _succeeded(self, dependency: str, task: str) -> None:
        with self._lock:
            reasons = self._failing[dependency]
            back = reasons.pop(task, None) is not None and not reasons
        if back:
            log.info("dependency_available", dependency=dependency)

"""What the process's own log says of attempts: failures always, successes when it is set to debug."""

from __future__ import annotations

import logging
from typing import Any

import structlog

from domain.attempt import Attempt
from domain.message import PropertiesView
from domain.trace import trace_of

log = structlog.get_logger("workerrmq.delivery")


class AttemptLog:
    """Shared by the consumers of a thread, which owns it."""

    def __init__(self) -> None:
        self.verbose = False
        """whether successes are logged; as of the last `refresh`, because asking costs too much for every delivery"""

    def refresh(self) -> None:
        self.verbose = log.is_enabled_for(logging.DEBUG)

    def delivered(self, attempt: Attempt, properties: PropertiesView) -> None:
        log.debug("delivered", **_said_of(attempt, properties))

    def failed(self, attempt: Attempt, properties: PropertiesView, delay: int | None) -> None:
        """`delay` in seconds."""
        log.warning(
            "delivery_failed",
            **_said_of(attempt, properties),
            result=attempt.result,
            error=attempt.error,
            reason=attempt.reason,
            retry_in_seconds=delay,
        )


def _said_of(attempt: Attempt, properties: PropertiesView) -> dict[str, Any]:
    return {
        "consumer": attempt.consumer,
        "queue": attempt.queue,
        "message_id": attempt.message_id,
        "correlation_id": properties.correlation_id,
        "trace_id": trace_of(properties.headers),
        "attempt": attempt.attempt,
        "status": attempt.status,
        "milliseconds": attempt.duration_ms,
    }

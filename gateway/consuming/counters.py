"""What a consumer counts, over all its revisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from delivery.recent import RecentAnswers
from gateway.consuming.session import Delivery
from gateway.consuming.tally import NO_ATTEMPTS


@dataclass(slots=True)
class Counters:
    """Since the worker took the consumer up."""

    delivered: int = 0
    retried: int = 0
    dead_lettered: int = 0
    requeued: int = 0
    failing: bool = False
    last_status: int | None = None
    error: str | None = None
    error_at: datetime | None = None
    recent: RecentAnswers = field(default_factory=RecentAnswers)
    attempts: list[int] = field(default_factory=NO_ATTEMPTS.copy)
    """by how long they took, as ATTEMPT_BUCKETS"""
    seconds: float = 0.0
    """that all of these took"""
    refused_copies: dict[Delivery, str] = field(default_factory=dict)
    """deliveries whose copy the broker refuses, and why"""

    def refused(self) -> tuple[int, str | None]:
        """How many copies the broker refuses now, and why it refused the last."""
        for delivery in [one for one in self.refused_copies if not one.open]:
            del self.refused_copies[delivery]
        return len(self.refused_copies), next(reversed(self.refused_copies.values()), None)

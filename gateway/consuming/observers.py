"""Observers of deliveries, which do not decide fates: counters, attempt logs, spans."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import structlog

from delivery.fate import Fate
from domain.outcome import Answer, Outcome
from gateway.consuming.session import Delivery
from gateway.tracing import Tracing

log = structlog.get_logger("workerrmq.delivery")

OnAnswer = Callable[[Delivery, Answer, Outcome], None]
"""Called when the target has answered, or no answer can follow."""
OnFate = Callable[[Delivery, Answer, Fate, int | None], None]
"""Called when the fate of an open delivery is decided, with the seconds until its retry."""


def tell(observers: Iterable[Callable[..., None]], *facts: Any) -> None:
    """Call each observer. An exception in one is logged, because an observer must not change the fate of a message."""
    for observe in observers:
        try:
            observe(*facts)
        except Exception:
            log.exception("observer_crashed")


class Spans:
    """Starts and ends a span for each attempt of one consumer. Owned by the loop's thread."""

    def __init__(self, tracing: Tracing, consumer: str) -> None:
        self._tracing, self._consumer = tracing, consumer

    def start(self, delivery: Delivery, lines: list[str]) -> list[str]:
        """Start the span of an attempt. Return the request's header lines with the span's trace context."""
        try:
            delivery.span = self._tracing.attempt(self._consumer, delivery.source, delivery.attempt)
            return self._tracing.lines(delivery.span, lines)
        except Exception:
            log.exception("observer_crashed")
            return lines

    def answered(self, delivery: Delivery, answer: Answer, outcome: Outcome) -> None:
        if delivery.span is not None:
            self._tracing.end(delivery.span, outcome, answer)
            delivery.span = None

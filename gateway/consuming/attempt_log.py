"""An observer that writes attempts to the attempt log in the store and to the process's log."""

from __future__ import annotations

import logging
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from delivery.attempts import SAMPLE, AttemptBuffer
from delivery.copies import FIRST_FAILED, REPLAYED_AT
from delivery.fate import Fate
from delivery.header_values import field_value
from delivery.kept_answer import kept_body, kept_headers
from delivery.provenance import provenance
from domain.attempt import Attempt, Result
from domain.message import PropertiesView
from domain.outcome import Answer, ErrorClass
from domain.registry import Subscription
from domain.route import below
from domain.trace import trace_of
from gateway.amqp.topology import dead_letter_queue
from gateway.consuming.session import Delivery

log = structlog.get_logger("workerrmq.delivery")

_RESULTS: dict[Fate, Result] = {
    Fate.ACK: "delivered",
    Fate.RETRY: "retried",
    Fate.REJECT: "rejected",
    Fate.EXHAUST: "exhausted",
    Fate.EXPIRE: "expired",
    Fate.GIVE_BACK: "requeued",
    Fate.REST: "requeued",
    Fate.SUSPEND: "requeued",
    Fate.SET_ASIDE: "filtered",
    Fate.FORWARD: "forwarded",
    Fate.DISCARD: "discarded",
    Fate.ROUTE: "routed",
}
_DEAD_LETTERED = (Fate.REJECT, Fate.EXHAUST, Fate.EXPIRE, Fate.SET_ASIDE)
_SAMPLED = (Fate.ACK, Fate.FORWARD, Fate.DISCARD, Fate.ROUTE)
"""Fates that are not failures. Most messages have one of them, so only a sample is stored."""


class AttemptLog:
    """The destination of attempts, shared by the consumers of a thread and owned by it."""

    def __init__(self, buffer: AttemptBuffer) -> None:
        """`buffer` gets the attempts for the store: every failure, and a sample of the successes."""
        self.buffer = buffer
        self.verbose = False
        """whether the process logs successes, as of the last `refresh`; checking each time costs too much"""

    def refresh(self) -> None:
        self.verbose = log.is_enabled_for(logging.DEBUG)


class AttemptObserver:
    """Logs the attempts of one revision of a consumer. Owned by the loop's thread."""

    def __init__(self, attempts: AttemptLog, subscription: Subscription) -> None:
        self._log, self._id, spec = attempts, subscription.id, subscription.spec
        self._name, self._queue, self._spec = spec.effective_name, spec.queue_name, spec
        self._every = spec.attempt_log.successes == "all"
        self._dead_letters = _queue_of(subscription)

    def decided(self, delivery: Delivery, answer: Answer, fate: Fate, delay: int | None) -> None:
        kept = fate not in _SAMPLED or self._every or random.random() < SAMPLE or _has_failures(delivery)
        if not kept and not self._log.verbose:
            return
        now = datetime.now(UTC)
        attempt = Attempt(
            at=now,
            consumer_id=self._id,
            consumer=self._name,
            queue=self._queue,
            message_id=_text(delivery.source.message_id),
            attempt=delivery.attempt,
            result=_RESULTS[fate],
            status=answer.status,
            error=answer.error.value if answer.error else None,
            reason=answer.reason,
            duration_ms=round(answer.seconds * 1000),
            next_at=None if delay is None else now + timedelta(seconds=delay),
            sampled=fate in _SAMPLED and not self._every,
            answer=None if fate in _SAMPLED else kept_body(answer.body, self._spec),
            answer_headers=None if fate in _SAMPLED else kept_headers(answer, self._spec) or None,
            destination=self._destination(fate, answer),
            **provenance(delivery.source.properties, now.timestamp())._asdict(),
        )
        if kept:
            self._log.buffer.add(attempt)
        fields = _fields(attempt, delivery.source.properties)
        if fate is Fate.ACK:
            log.debug("delivered", **fields)
        elif answer.error is ErrorClass.FILTERED:
            level = logging.INFO if fate is Fate.SET_ASIDE else logging.DEBUG
            log.log(level, "filtered", **fields, result=attempt.result)
        elif answer.error is ErrorClass.ROUTED:
            log.debug("routed", **fields, route=answer.detail)
        else:
            failure = {"result": attempt.result, "error": attempt.error, "reason": attempt.reason}
            log.warning("delivery_failed", **fields, **failure, retry_in_seconds=delay)

    def _destination(self, fate: Fate, answer: Answer) -> str | None:
        """Return the queue to which a message goes; None if it stays in its queue, or if only the broker knows."""
        if fate is Fate.ROUTE:
            return below(self._queue, answer.detail)
        return self._dead_letters if fate in _DEAD_LETTERED else None


def _queue_of(subscription: Subscription) -> str | None:
    """Return the queue of the consumer's dead letters; None if an exchange decides."""
    exchange, key = subscription.queue.dead_letter or ("", dead_letter_queue(subscription.spec.queue_name))
    return key if exchange == "" else None


def _has_failures(delivery: Delivery) -> bool:
    """Return whether the log may have failures of this message, so that it must also have the success. A redelivered
    message may have been given back, which leaves no other mark on it."""
    headers = delivery.source.properties.headers
    marked = headers is not None and (REPLAYED_AT in headers or FIRST_FAILED in headers)
    return delivery.attempt > 1 or delivery.redelivered or marked


def _text(message_id: str | bytes) -> str:
    """Return the message id as text. An id that is not UTF-8 is bytes; it gets the form of the header `webhook-id`."""
    return message_id if isinstance(message_id, str) else field_value(message_id)


def _fields(attempt: Attempt, properties: PropertiesView) -> dict[str, Any]:
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

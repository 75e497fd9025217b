"""Why a message is a dead letter. Dead letters with the same cause form a group.

The headers may be forged by a publisher, so malformed ones are ignored.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pydantic import Field

from domain.model import Model
from domain.names import QueueName

MAX_EXAMINED = 10_000
"""Messages that a look examines at most. The others keep their place, unexamined."""

DEATHS = "workerrmq-x-death"
"""The header with the broker's death history of a dead letter that was moved."""
_LONGEST = 500
_VARYING = re.compile(r"\b[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}\b|\d+")
"""UUIDs and numbers, which differ between answers with the same cause, such as the id of an order."""


class Cause(NamedTuple):
    """The cause of a dead letter. `queue` is the queue that it came from; without it, a client published the message to
    the dead-letter queue. `consumer` is None, and `outcome` is RabbitMQ's reason (https://www.rabbitmq.com/docs/dlx),
    if the broker dead-lettered it. `answer` is the sentence in the target's answer."""

    queue: str | None
    consumer: str | None
    outcome: str
    status: int | None
    error: str | None
    reason: str
    answer: str | None

    @property
    def group(self) -> str:
        """The id of its group: the same for all causes that differ only in numbers and UUIDs of their texts."""
        known = [*self[:5], _general(self.reason), _general(self.answer or "")]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:12]


class DeadLetterGroup(Model):
    """Dead letters with the same cause. `group` identifies it in a filter. `reason` and `answer` are those of one of
    them; texts that differ only in numbers or UUIDs are in the same group. `since` and `latest` are the earliest and
    the latest time at which one failed; `perSecond` is the rate in the last minute, null if not all were examined."""

    group: str
    count: int
    queue_name: str | None
    consumer: str | None
    outcome: str
    status: int | None
    error: str | None
    reason: str
    answer: str | None
    since: datetime | None
    latest: datetime | None
    per_second: float | None


class DeadLetters(Model):
    """The groups of the first `examined` of `messages` dead letters, the largest first."""

    dead_letter_queue: QueueName
    messages: int
    examined: int
    at: datetime = Field(description="time at which the messages were examined")
    groups: list[DeadLetterGroup]


def cause_of(headers: Mapping[str, Any]) -> Cause:
    """Return the cause that a dead letter's headers name, as a worker or the broker wrote them."""
    if outcome := _text(headers.get("workerrmq-outcome")):
        return Cause(
            queue=_text(headers.get("workerrmq-queue")),
            consumer=_text(headers.get("workerrmq-consumer")),
            outcome=outcome,
            status=_status(headers.get("workerrmq-status")),
            error=_text(headers.get("workerrmq-error")),
            reason=_text(headers.get("workerrmq-reason")) or "",
            answer=_text(headers.get("workerrmq-answer")),
        )
    death = _death(headers)
    queue = _text(headers.get("workerrmq-queue")) or _text(death.get("queue"))
    outcome = _text(death.get("reason")) or "published"
    reason = "by the broker" if death else "published to this queue"
    return Cause(queue, None, outcome, None, None, reason, None)


def died_at(headers: Mapping[str, Any]) -> datetime | None:
    """Return the time of the failure that made a message a dead letter; None if its headers have none."""
    if "workerrmq-last-failed-at" in headers:
        return _moment(headers["workerrmq-last-failed-at"])
    time = _death(headers).get("time")
    return time.replace(tzinfo=UTC) if isinstance(time, datetime) else None  # AMQP 0-9-1 §4.2.5.4: in UTC


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return None if moment.tzinfo is None else moment


def _death(headers: Mapping[str, Any]) -> Mapping[Any, Any]:
    """Return the latest entry of the broker's death history (https://www.rabbitmq.com/docs/dlx#effects)."""
    deaths = headers.get("x-death", headers.get(DEATHS))
    latest = deaths[0] if isinstance(deaths, list) and deaths else None
    return latest if isinstance(latest, dict) else {}


def _text(value: Any) -> str | None:
    return value[:_LONGEST] if isinstance(value, str) and value else None


def _status(value: Any) -> int | None:
    return value if isinstance(value, int) and 100 <= value <= 599 else None


def _general(text: str) -> str:
    return _VARYING.sub("#", text)

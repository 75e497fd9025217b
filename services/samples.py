"""Tests a consumer's target with one sample message, which is in no queue."""

from __future__ import annotations

from delivery.target_guard import Guard
from domain.consumer_changes import WhichConsumer
from domain.credentials import redacted
from domain.errors import Invalid
from domain.model import Model
from domain.publication import Publication
from gateway.http.egress import Egress
from gateway.http.sample import send_sample
from services.consumers import Consumers


class SampleAnswer(Model):
    """The target's answer: `status` or `error`, the duration, and the start of the body with the consumer's credentials
    masked. `outcome` is how a worker would treat such an answer: success, retry, throttle, reject,
    suspend, or unsent if there is no token or the egress proxy fails."""

    message_id: str
    status: int | None
    error: str | None
    reason: str
    outcome: str
    duration_ms: int
    body: str


class Samples:
    """Thread-safe."""

    def __init__(self, consumers: Consumers, guard: Guard, egress: Egress) -> None:
        self._consumers, self._guard, self._egress = consumers, guard, egress

    def send(self, which: WhichConsumer, publication: Publication) -> SampleAnswer:
        """Send one sample like a delivery, signed, without retries, and return the answer. Raises NotFound, Conflict,
        StoreUnavailable, and Invalid when the consumer's stored definition is not valid."""
        consumer = self._consumers.find_one(which)
        if consumer.faults:
            raise Invalid(str(consumer.reason), fields=consumer.faults)
        message = publication.to_message()
        answer = send_sample(consumer, message, self._guard, egress=self._egress)
        return SampleAnswer(
            message_id=message.properties.message_id or "",
            status=answer.status,
            error=answer.error.value if answer.error else None,
            reason=redacted(answer.reason, consumer.spec),
            outcome=consumer.spec.outcomes.table.outcome_of(answer).value,
            duration_ms=round(answer.seconds * 1000),
            body=redacted(answer.body.decode(errors="replace"), consumer.spec),
        )

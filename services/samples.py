"""Sends a sample message to a consumer's target without a queue, or shows the request that a worker would send."""

from __future__ import annotations

from typing import Any

from delivery.copies import Source
from delivery.header_values import text_or_base64
from delivery.request import RequestBuilder
from delivery.target_guard import Guard
from delivery.unsendable import Routed, Unsendable
from domain.consumer_changes import WhichConsumer
from domain.credentials import redacted
from domain.errors import Invalid, NotFound
from domain.model import Model
from domain.publication import Publication
from domain.registry import RegisteredConsumer
from domain.route import below
from gateway.amqp.held_messages import HeldMessages
from gateway.http.egress import Egress
from gateway.http.sample import request_of, send_sample
from gateway.rendering.once import OnceRenderers
from services.consumers import Consumers


class SampleAnswer(Model):
    """The target's answer: `status` or `error`, the duration, and the start of the body with the consumer's credentials
    masked. `outcome` is the outcome of a delivery with this answer: success, retry, throttle, reject or suspend. It is
    unsent if there is no token or the egress proxy failed, and filtered if the sample does not match the consumer's
    filter; in both cases no sample was sent. `route` is the route of the sample, if the consumer has routes."""

    message_id: str
    route: str | None
    status: int | None
    error: str | None
    reason: str
    outcome: str
    duration_ms: int
    body: str


class SampleRequest(Model):
    """A request to a target, with its credentials masked. `body` is null if the body is not UTF-8; then `bodyBase64`
    has it."""

    method: str
    url: str
    headers: dict[str, str]
    body: str | None
    body_base64: str | None


class DryRun(Model):
    """The request that a worker would send for a message. If it would send none, `error` and `reason` give the cause,
    and `outcome` the outcome of the message. `route` is the route that the message would take, if the consumer has
    routes; then the request is that of the route."""

    message_id: str
    route: str | None
    request: SampleRequest | None
    error: str | None
    reason: str
    outcome: str


class Samples:
    """Thread-safe. Its methods raise NotFound, Conflict, StoreUnavailable, RendererUnavailable, and Invalid when the
    consumer's stored definition is not valid."""

    def __init__(
        self, consumers: Consumers, held: HeldMessages, renderers: OnceRenderers, guard: Guard, egress: Egress
    ) -> None:
        self._consumers, self._held, self._renderers = consumers, held, renderers
        self._guard, self._egress = guard, egress

    def send(self, which: WhichConsumer, publication: Publication) -> SampleAnswer:
        """Send one sample like a delivery, signed, without retries, and return the answer."""
        consumer = self._find(which)
        consumer, source, route = self._routed(consumer, _sample(consumer, publication))
        answer = send_sample(consumer, source, self._renderers, self._guard, egress=self._egress)
        return SampleAnswer(
            message_id=source.message_id,
            route=route,
            status=answer.status,
            error=answer.error.value if answer.error else None,
            reason=redacted(answer.reason, consumer.spec),
            outcome=consumer.spec.outcomes.table.outcome_of(answer).value,
            duration_ms=round(answer.seconds * 1000),
            body=redacted(answer.body.decode(errors="replace"), consumer.spec),
        )

    def dry_run(self, which: WhichConsumer, publication: Publication | None) -> DryRun:
        """Return the request that a worker would send. Without a publication, use the message at the head of the
        consumer's queue, which stays there. Raises what HeldMessages.first raises, and NotFound when the queue is
        empty."""
        consumer = self._find(which)
        source = self._first(consumer.spec.queue_name) if publication is None else _sample(consumer, publication)
        consumer, source, route = self._routed(consumer, source)
        made = request_of(consumer, source, self._renderers)
        told: dict[str, Any] = {"message_id": source.message_id, "route": route}
        if isinstance(made, Unsendable):
            outcome = consumer.spec.outcomes.table.outcome_of(made.answer).value
            return DryRun(**told, request=None, error=made.error.value, reason=str(made), outcome=outcome)
        encoding, body = text_or_base64(made.body)
        request = SampleRequest(
            method=consumer.spec.method,
            url=made.url or "",
            headers=dict(line.split(": ", 1) for line in made.headers),
            body=body if encoding == "text" else None,
            body_base64=body if encoding != "text" else None,
        )
        return DryRun(**told, request=request, error=None, reason="not sent", outcome="send")

    def _routed(self, consumer: RegisteredConsumer, source: Source) -> tuple[RegisteredConsumer, Source, str | None]:
        """Return the consumer that sends a message, the message as that one gets it, and the name of its route. It is
        `consumer` itself if this has no routes, or if the message does not match its filter."""
        try:
            RequestBuilder(consumer.spec).admit(source)
        except Routed as routed:
            target = self._find(WhichConsumer(name=below(consumer.spec.name, str(routed))))
            return target, source._replace(queue=target.spec.queue_name), str(routed)
        except Unsendable:  # the request that cannot be made gives the reason
            pass
        return consumer, source, None

    def _find(self, which: WhichConsumer) -> RegisteredConsumer:
        consumer = self._consumers.find_one(which)
        if consumer.faults:
            raise Invalid(str(consumer.reason), fields=consumer.faults)
        return consumer

    def _first(self, queue: str) -> Source:
        source = self._held.first(queue)
        if source is None:
            raise NotFound(f"The queue {queue!r} has no message that is ready.", code="queue_empty")
        return source if source.message_id else source._replace(message_id="none-yet")


def _sample(consumer: RegisteredConsumer, publication: Publication) -> Source:
    """Return the sample as a message from the consumer's queue."""
    message = publication.to_message()
    queue = consumer.spec.queue_name
    return Source(queue, "", queue, message.properties, message.body, message.properties.message_id or "sample")

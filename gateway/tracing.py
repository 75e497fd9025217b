"""OpenTelemetry spans: one for each publish and one for each attempt, connected by the message's traceparent.

The OpenTelemetry packages are optional: they are imported only if an endpoint is configured. OpenTelemetry reads its
other settings from the environment (https://opentelemetry.io/docs/languages/sdk-configuration/).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from delivery.copies import Source
from domain.errors import WorkerError
from domain.message import Message
from domain.outcome import Answer, Outcome
from domain.trace import trace_headers, trace_id
from runtime.logs import log_context

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

log = structlog.get_logger("workerrmq.tracing")

Results = list[WorkerError | None]
Send = Callable[[Sequence[Message]], Results]
"""Publishes messages and returns the result of each."""

_CONTEXT = ("traceparent", "tracestate")
_SYSTEM = {"messaging.system": "rabbitmq"}


class Tracing:
    """Creates spans; a part of the process's runtime. Attribute names follow the semantic conventions for messaging
    (https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/). Thread-safe."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider, self._trace = provider, trace
        self._tracer = provider.get_tracer("workerrmq")
        self._propagator = TraceContextTextMapPropagator()

    def start(self) -> None:
        """Do nothing: the exporter has its own thread, which it restarts after a fork."""

    def stop(self, timeout: float) -> None:
        """Send the remaining spans within `timeout` seconds, then shut down."""
        self._provider.force_flush(round(timeout * 1000))
        self._provider.shutdown()

    def publish(self, messages: Sequence[Message], send: Send) -> Results:
        """Call `send` in a span and return its results. The messages carry the span's context, except those of a batch
        that have another trace than the first message."""
        first = messages[0]
        came = _context_of(first.properties.headers)
        where = first.exchange or first.routing_key
        span = self._tracer.start_span(
            f"send {where}",
            context=self._propagator.extract(came),
            kind=self._trace.SpanKind.PRODUCER,
            attributes={
                **_SYSTEM,
                "messaging.operation.type": "send",
                "messaging.destination.name": where,
                "messaging.batch.message_count": len(messages),
                "messaging.message.id": first.properties.message_id or "",
            },
        )
        context = self._context_in(span)
        log_context.set({**log_context.get(), "trace_id": trace_id(context.get("traceparent"))})
        try:
            results = send([_moved(one, came, context) for one in messages])
            if failed := [error for error in results if error]:
                self._fail(span, failed[0].code, failed[0].detail)
            return results
        finally:
            span.end()

    def attempt(self, consumer: str, source: Source, attempt: int) -> Span:
        """Start the span of one attempt; `end` ends it."""
        return self._tracer.start_span(
            f"deliver {source.queue}",
            context=self._propagator.extract(_context_of(source.properties.headers)),
            kind=self._trace.SpanKind.CONSUMER,
            attributes={
                **_SYSTEM,
                "messaging.operation.type": "process",
                "messaging.destination.name": source.queue,
                "messaging.consumer.group.name": consumer,
                "messaging.message.id": source.message_id,
                "messaging.message.conversation_id": source.properties.correlation_id or "",
                "workerrmq.attempt": attempt,
            },
        )

    def lines(self, span: Span, lines: list[str]) -> list[str]:
        """Return the header lines of a request with the trace context of its span."""
        kept = [line for line in lines if line.partition(":")[0].lower() not in _CONTEXT]
        return kept + [f"{name}: {value}" for name, value in self._context_in(span).items()]

    def end(self, span: Span, outcome: Outcome, answer: Answer) -> None:
        """End the span of an attempt with its outcome."""
        span.set_attribute("workerrmq.outcome", outcome.value)
        if answer.status is not None:
            span.set_attribute("http.response.status_code", answer.status)
        if outcome is not Outcome.SUCCESS:
            self._fail(span, answer.error.value if answer.error else str(answer.status), answer.reason)
        span.end()

    def _fail(self, span: Span, kind: str, reason: str) -> None:
        span.set_attribute("error.type", kind)
        span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, reason))

    def _context_in(self, span: Span) -> dict[str, str]:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, self._trace.set_span_in_context(span))
        return carrier


def open_tracing(endpoint: str) -> Tracing | None:
    """Return the tracing that sends spans to `endpoint` by OTLP over HTTP. Return None without an endpoint or, with a
    warning, without the packages."""
    if not endpoint:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        hint = "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"
        log.warning("tracing_unavailable", reason=f"OpenTelemetry's packages are missing: {hint}")
        return None
    resource = Resource.create({"service.name": "workerrmq"}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")))
    return Tracing(provider)


def _context_of(headers: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the trace context in a message's headers; empty if it is missing or malformed."""
    found = [headers.get(name) for name in _CONTEXT] if headers else []
    parent, state = (value if isinstance(value, str) else "" for value in found or ("", ""))
    return trace_headers(parent, state)


def _moved(message: Message, old: Mapping[str, str], new: Mapping[str, str]) -> Message:
    """Return the message in the `new` context if it is in the `old` one; else the message unchanged."""
    given = message.properties.headers or {}
    if _context_of(given) != old:
        return message
    headers = {name: value for name, value in given.items() if name not in _CONTEXT}
    return replace(message, properties=replace(message.properties, headers={**headers, **new}))

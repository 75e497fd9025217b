"""A collector of spans: receives OTLP over HTTP (https://opentelemetry.io/docs/specs/otlp/#otlphttp)."""

from __future__ import annotations

from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.serving import Serving


@dataclass(frozen=True)
class Span:
    """A span with ids in hexadecimal; `error` is the description of an error status."""

    name: str
    kind: int
    trace: str
    id: str
    parent: str
    error: str
    attributes: dict[str, Any]
    service: str


class Collector(Serving):
    """Runs in a thread until `stop`. Any thread may read `spans`, and `logins`, the requests' Authorization."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.logins: set[str | None] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.logins.add(self.headers["Authorization"])
                if self.path == "/v1/traces":
                    collector.spans += _spans_in(body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.url = f"http://127.0.0.1:{self._serve_by(ThreadingHTTPServer(('127.0.0.1', 0), Handler))}"


def _spans_in(body: bytes) -> list[Span]:
    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    return [
        Span(
            name=span.name,
            kind=span.kind,
            trace=span.trace_id.hex(),
            id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            error=span.status.message if span.status.code == span.status.STATUS_CODE_ERROR else "",
            attributes=_attributes(span.attributes),
            service=str(_attributes(resource.resource.attributes)["service.name"]),
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _attributes(found: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in found}

"""Spans: a publish and every attempt to deliver are in one trace, from whoever publishes to whoever is delivered to."""

from __future__ import annotations

import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from config import SettingsError, load
from delivery.copies import Source
from domain.message import Message, Properties
from domain.trace import trace_id
from gateway.tracing import Tracing, open_tracing
from tests.api.client import ROOT
from tests.api.host import Host
from tests.support.otlp import Collector, Span
from tests.support.processes import wait_until
from tests.support.target import Target

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PRODUCER, CONSUMER = 4, 5  # SpanKind, by opentelemetry/proto/trace/v1/trace.proto


def python(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )


@pytest.fixture
def collector() -> Iterator[Collector]:
    one = Collector()
    yield one
    one.stop()


@pytest.fixture
def traced(make_host: Callable[..., Host], collector: Collector) -> Host:
    """A host whose spans reach the collector soon."""
    one = make_host(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_BSP_SCHEDULE_DELAY="100")
    one.wait_ready()
    return one


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_a_publish_and_its_attempts_are_one_trace_which_the_target_goes_on_with(
    traced: Host, collector: Collector, target: Target, unique_name: str
) -> None:
    host, queue = traced, unique_name
    host.post("/createQueue", queueName=queue)
    retry = {"schedule": [1], "jitter": 0}
    host.post("/createConsumer", queueName=queue, url=target.url("/status/500?times=1"), name="shop", retry=retry)
    host.post("/messagePublish", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"}, queueName=queue, message="x")

    def attempts() -> list[Span]:
        found = [span for span in collector.spans if span.kind == CONSUMER]
        return sorted(found, key=lambda span: span.attributes["workerrmq.attempt"])

    wait_until(lambda: len(attempts()) == 2, 30, "two attempts")
    [publish] = wait_until(lambda: [span for span in collector.spans if span.kind == PRODUCER], 20)
    failed, delivered = attempts()
    assert (publish.name, publish.trace, publish.parent) == (f"send {queue}", TRACE, PARENT)
    assert publish.service == failed.service == "workerrmq"
    for number, span in enumerate((failed, delivered), 1):
        assert (span.name, span.trace, span.parent) == (f"deliver {queue}", TRACE, publish.id)
        assert span.attributes["workerrmq.attempt"] == number
        assert span.attributes["messaging.message.id"] == publish.attributes["messaging.message.id"]
    assert (failed.error, failed.attributes["workerrmq.outcome"]) == ("HTTP 500", "retry")
    assert (delivered.error, delivered.attributes["http.response.status_code"]) == ("", 200)
    received = [request.headers["traceparent"] for request in target.wait_for(2, 20)]
    assert received == [f"00-{TRACE}-{span.id}-01" for span in (failed, delivered)]


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_a_publish_without_a_trace_begins_one_and_a_refused_one_says_why(
    traced: Host, collector: Collector, target: Target, unique_name: str
) -> None:
    traced.post("/createQueue", queueName=unique_name)
    traced.post("/createConsumer", queueName=unique_name, url=target.url(), name="shop")
    traced.post("/messagePublish", queueName=unique_name, message="x")
    [received] = target.wait_for(1, 20)
    assert not traced.web.call(
        "POST", "/messagePublish", traced.web.login(), json={"queueName": "nowhere", "message": "x"}
    ).ok
    wait_until(lambda: len(collector.spans) >= 3, 20, "two publishes and an attempt")
    spans = {span.name: span for span in collector.spans}
    begun, attempt = spans[f"send {unique_name}"], spans[f"deliver {unique_name}"]
    assert begun.parent == ""
    assert attempt.trace == begun.trace
    assert received.headers["traceparent"].split("-")[1] == begun.trace
    assert spans["send nowhere"].attributes["error.type"] == "unroutable"
    [line] = [one for one in traced.lines(traced.web.process, "request") if one.get("message_id") == received.id]
    assert line["trace_id"] == begun.trace


def test_without_an_endpoint_its_packages_are_not_even_imported() -> None:
    script = (
        "import sys; from gateway.tracing import open_tracing; import app, WorkerRMQ;"
        "assert open_tracing('') is None; print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = python(script)
    assert done.stdout == "[]\n"


def test_without_its_packages_an_endpoint_is_a_warning_that_says_what_to_install() -> None:
    script = (
        "import sys; from runtime import logs; logs.configure('info', 'json');"
        "sys.modules['opentelemetry.sdk.trace'] = None;"
        "from gateway.tracing import open_tracing; assert open_tracing('http://127.0.0.1:4318') is None"
    )
    done = python(script)
    assert '"event":"tracing_unavailable"' in done.stderr
    assert "pip install opentelemetry-sdk" in done.stderr


@pytest.mark.parametrize("header", ["", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-00", b"\xff", 7, None, ["x"]])
def test_a_header_that_is_no_trace_context_begins_a_new_one(header: Any) -> None:
    tracing = Tracing(TracerProvider())
    properties = Properties(headers={"traceparent": header, "tracestate": header})
    span = tracing.attempt("shop", Source("orders", "", "orders", properties, b"", "m-1"), 1)
    kept, context = tracing.lines(span, ["X-Queue-Name: orders", "Traceparent: old", "tracestate: old"])
    assert kept == "X-Queue-Name: orders"
    assert trace_id(context.removeprefix("traceparent: ")) not in {None, "0" * 32}


def test_a_login_in_the_endpoint_is_sent_and_is_in_no_log_line(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    endpoint = collector.url.replace("//", "//me:canary%21@")

    def publish() -> None:
        tracing = open_tracing(endpoint)
        assert tracing is not None
        tracing.publish([Message("orders", b"")], lambda messages: [None] * len(messages))
        tracing.stop(3)

    publish()
    assert [span.name for span in collector.spans] == ["send orders"]
    assert collector.logins == {"Basic " + b64encode(b"me:canary!").decode()}
    collector.stop()
    publish()
    assert "span" in caplog.text, "the failure is logged"
    assert "canary" not in caplog.text


@pytest.mark.parametrize("url", ["http://h:4318?key=canary", "http://h/{messageId}", "h:4318", "ftp://me:canary@h"])
def test_an_endpoint_that_cannot_be_used_is_refused_without_quoting_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_ENDPOINT must") as refused:
        load(_env_file=None)
    assert "canary" not in str(refused.value)

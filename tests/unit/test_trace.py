"""Which W3C trace contexts are valid (https://www.w3.org/TR/trace-context/#traceparent-header)."""

from __future__ import annotations

import pytest

from domain.trace import trace_headers, trace_id

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_valid_context_is_passed_on_with_its_state() -> None:
    context = f"00-{TRACE}-{PARENT}-01"
    assert trace_id(context) == TRACE
    assert trace_headers(context, "vendor=1") == {"traceparent": context, "tracestate": "vendor=1"}


@pytest.mark.parametrize(
    "context",
    [
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}",
    ],
)
def test_an_invalid_version_trace_or_parent_is_not_passed_on(context: str) -> None:
    assert trace_id(context) is None
    assert trace_headers(context, "vendor=1") == {}

"""The W3C trace context that a message carries from its publisher to its target
(https://www.w3.org/TR/trace-context/#traceparent-header)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_LONGEST_STATE = 512  # characters (§3.3.1.5)


def trace_id(traceparent: Any) -> str | None:
    """Return the trace id of a `traceparent`; None if it is missing or malformed."""
    found = _TRACEPARENT.fullmatch(traceparent) if isinstance(traceparent, str) else None
    return found[1] if found else None


def trace_headers(traceparent: str, tracestate: str) -> dict[str, str]:
    """Return the headers to pass on; none if the context is malformed."""
    if trace_id(traceparent) is None:
        return {}
    state = {"tracestate": tracestate} if 0 < len(tracestate) <= _LONGEST_STATE else {}
    return {"traceparent": traceparent, **state}


def trace_of(headers: Mapping[str, Any] | None) -> str | None:
    """Return the trace id in a message's headers, or None."""
    return trace_id(headers.get("traceparent")) if headers else None

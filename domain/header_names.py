"""Names of HTTP headers that a consumer may set."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

_TOKEN = re.compile(r"[0-9A-Za-z!#$%&'*+.^_`|~-]+")
_OURS = {"host", "content-length", "transfer-encoding", "connection", "expect", "upgrade", "te", "trailer",
         "x-queue-name", "x-delivery-attempt", "x-correlation-id"}  # fmt: skip
"""Headers that HTTP framing or the delivery contract sets (docs/DELIVERY.md)."""


def header_name(value: str) -> str:
    """Return the name. Raises ValueError if it is not a valid header name (RFC 9110 §5.1), or if the service sets that
    header."""
    if not _TOKEN.fullmatch(value):
        raise ValueError(f"{value!r} is not a valid header name (RFC 9110 §5.1)")
    if value.lower() in _OURS or value.lower().startswith("webhook-"):
        raise ValueError(f"{value!r} is reserved: the service sets it")
    return value


def _forwarded(value: str) -> str:
    if not value.lower().startswith("x-"):
        raise ValueError(f"{value!r} must start with x-: only such headers of a message can be forwarded")
    return header_name(value)


HeaderName = Annotated[str, AfterValidator(header_name), Field(max_length=255)]
ForwardedHeader = Annotated[str, AfterValidator(_forwarded), Field(max_length=255, examples=["x-tenant"])]

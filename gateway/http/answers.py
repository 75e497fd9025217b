"""Makes the answer of a target from its status, headers and body."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from delivery.backoff import retry_after
from delivery.kept_answer import answer_headers
from domain.outcome import Answer
from gateway.http.endpoint import Endpoint

Field = tuple[bytes, bytes]
"""The name and the value of a header or trailer."""


def answer_of(
    endpoint: Endpoint, status: int, headers: Callable[[], Iterable[Field]], body: bytes, read: int, seconds: float
) -> Answer:
    """Return the answer. `headers` returns its headers; of equal names the last one counts. `body` are the bytes that
    are kept of the `read` ones, `seconds` the duration of the request."""
    if status < 300 and not endpoint.typed:
        return Answer(status, None, "", seconds, None, body, None, (), read > len(body))
    fields = list(headers())
    kept = answer_headers(fields) if status >= 300 else {}
    asked = kept.get("retry-after")  # RFC 9110 §10.2.3
    after = None if asked is None else retry_after(asked, time.time())
    content_type = _content_type(fields) if endpoint.typed else None
    return Answer(status, None, "", seconds, after, body, content_type, tuple(kept.items()), read > len(body))


def _content_type(fields: Iterable[Field]) -> str | None:
    types = [value.strip() for name, value in fields if name.lower() == b"content-type"]
    return next((value.decode(errors="replace") for value in reversed(types) if value), None)

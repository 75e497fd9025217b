"""Messages as CloudEvents 1.0 over HTTP in binary mode: the unchanged body, and the attributes in `ce-` headers.

Sources: CloudEvents 1.0.2 "Context Attributes"; HTTP Protocol Binding §3.1 "Binary Content Mode"; the extensions
"Distributed Tracing" and "Correlation" of the CloudEvents repository.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import quote

from delivery.copies import Source, original
from delivery.header_values import iso_time, text_of

DEFAULT_TYPE = "workerrmq.message"
"""The type of a message without a `type` property."""

_NAME = re.compile(r"[a-z0-9]{1,20}")
"""Attribute names (CloudEvents §Naming Conventions)."""
_CORE = {"id", "source", "specversion", "type", "subject", "time", "data", "datacontenttype", "dataschema",
         "traceparent", "tracestate", "correlationid"}  # fmt: skip
_AS_THEY_ARE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
_AS_IT_IS = re.compile(r"[!#$&-~]*")


class CloudEvent:
    """Builds the attributes. `id` is the message id, `source` is `/queues/<queue>`, `type` is the message's type or
    `workerrmq.message`, `subject` is the routing key, `time` is the message's timestamp. `correlationid`, `traceparent`
    and `tracestate` are extensions.

    Each header of `forwarded` also becomes an extension, named without `x-` and hyphens: `x-tenant-id` becomes
    `ce-tenantid`. It is left out if the resulting name is not valid or belongs to another attribute. The consumer's own
    headers (`own`), such as `ce-type`, take precedence.
    """

    def __init__(self, queue: str, forwarded: Iterable[str], own: Iterable[str] = ()) -> None:
        self._own = {name.lower().removeprefix("ce-") for name in own if name.lower().startswith("ce-")}
        self._source = f"/queues/{quote(queue, safe='')}"
        self._extensions = {}
        for header in forwarded:
            name = header.lower().removeprefix("x-").replace("-", "")
            if _NAME.fullmatch(name) and name not in _CORE:
                self._extensions[name] = header

    def lines(self, source: Source) -> list[str]:
        """Return the `ce-` header lines of one message."""
        properties = source.properties
        headers = properties.headers or {}
        attributes = {
            "specversion": "1.0",
            "id": source.message_id,
            "source": self._source,
            "type": properties.type or DEFAULT_TYPE,
            "subject": original(source.exchange, source.routing_key, properties)[1],
            "time": _time(properties.timestamp),
            "correlationid": properties.correlation_id,
            "traceparent": headers.get("traceparent"),
            "tracestate": headers.get("tracestate"),
            **{name: headers.get(header) for name, header in self._extensions.items()},
        }
        found = [(name, text_of(value)) for name, value in attributes.items() if name not in self._own]
        return [f"ce-{name}: {_header_value(text)}" for name, text in found if text]


def _header_value(text: str | bytes) -> str:
    """Return the text with space, double quote, percent and all characters outside U+0021–U+007E percent-encoded as
    UTF-8 (HTTP Protocol Binding §3.1.3.2)."""
    if isinstance(text, str) and _AS_IT_IS.fullmatch(text):
        return text
    return quote(text, safe=_AS_THEY_ARE)


def _time(timestamp: object) -> str | None:
    """Return a timestamp in Unix seconds as RFC 3339; None beyond the year 9999, for example for milliseconds."""
    if isinstance(timestamp, datetime):
        return iso_time(timestamp)
    try:
        return iso_time(datetime.fromtimestamp(timestamp, UTC)) if isinstance(timestamp, int) else None
    except (ValueError, OverflowError, OSError):
        return None

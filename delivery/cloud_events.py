"""Messages as CloudEvents 1.0: over HTTP in binary mode, the unchanged body with the attributes in `ce-` headers; in a
batch as JSON objects.

Sources: CloudEvents 1.0.2 "Context Attributes"; HTTP Protocol Binding §3.1 "Binary Content Mode"; JSON Event Format §3
"Envelope" and §4 "JSON Batch Format"; the extensions "Distributed Tracing" and "Correlation" of the CloudEvents
repository.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import orjson

from delivery.content_encoding import encoding_of, with_charset
from delivery.copies import Source, original
from delivery.header_values import field_value, is_json, iso_time, text_of, text_or_base64

DEFAULT_TYPE = "workerrmq.message"
"""The type of a message without a `type` property."""

_JSON_TYPE = re.compile(r"[^;]*[/+]json\s*(;|$)", re.IGNORECASE)
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

    def __init__(self, queue: str, forwarded: Iterable[str], own: Mapping[str, str]) -> None:
        ours = {name.lower(): value for name, value in own.items()}
        self._own = {name[3:]: value for name, value in ours.items() if name.startswith("ce-")}
        self._source = f"/queues/{quote(queue, safe='')}"
        self._extensions = {}
        for header in forwarded:
            name = header.lower().removeprefix("x-").replace("-", "")
            if _NAME.fullmatch(name) and name not in _CORE:
                self._extensions[name] = header

    def lines(self, source: Source) -> list[str]:
        """Return the `ce-` header lines of one message."""
        return [f"ce-{name}: {_header_value(text)}" for name, text in self._attributes(source)]

    def structured(self, source: Source, body: bytes, content_type: str | None) -> bytes:
        """Return one message as a JSON object. `body` is its payload; `content_type` is None if the message's own type
        and encoding apply. JSON becomes `data` as it is, other text a string, and all else `data_base64`."""
        event: dict[str, Any] = {name: _text(text) for name, text in self._attributes(source)} | self._own
        coding = charset = None
        if content_type is None:
            content_type = source.properties.content_type
            coding, charset = encoding_of(source.properties.content_encoding or "")
        if content_type:
            event["datacontenttype"] = with_charset(field_value(content_type), charset)
        if coding:
            event["contentencoding"] = coding
        name, data = _data(body, content_type or "", plain=coding is None and charset in (None, "utf-8"))
        return orjson.dumps(event | {name: data})

    def _attributes(self, source: Source) -> list[tuple[str, str | bytes]]:
        """Return the attributes of one message, without those that the consumer's headers set."""
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
        return [(name, text) for name, text in found if text]


def _data(body: bytes, content_type: str | bytes, *, plain: bool) -> tuple[str, Any]:
    """Return the member of a JSON event that has the payload, and its value (JSON Event Format §3.1). `plain` says
    whether the body is neither compressed nor in a charset other than UTF-8."""
    typed = isinstance(content_type, str) and _JSON_TYPE.match(content_type)
    if plain and (typed or not content_type) and is_json(body):
        return "data", orjson.Fragment(body)
    encoding, text = text_or_base64(body) if plain and not typed else ("base64", b64encode(body).decode())
    return ("data" if encoding == "text" else "data_base64"), text


def _text(text: str | bytes) -> str:
    return text if isinstance(text, str) else field_value(text)


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

"""What the target gets: the body as published, and the headers that say what it is."""

from __future__ import annotations

from urllib.parse import quote

from delivery import signing
from domain.consumer import ConsumerSpec
from domain.message import PropertiesView


class RequestHeaders:
    """Builds the header lines of one consumer's requests; what never changes is made once."""

    __slots__ = ("_fixed", "_key", "_own_type")

    def __init__(self, spec: ConsumerSpec) -> None:
        self._fixed = [f"X-Queue-Name: {_safe(spec.queue_name)}", "User-Agent: WorkerRMQ", "Expect:", "Accept: */*"]
        self._fixed += [f"{name}: {_safe(value.strip())}" for name, value in spec.headers.items()]
        self._own_type = any(name.lower() == "content-type" for name in spec.headers)
        self._key = signing.decode_secret(spec.signing_secret.get_secret_value()) if spec.signing_secret else None

    def lines(self, properties: PropertiesView, message_id: str, attempt: int, body: bytes, now: int) -> list[str]:
        """`Name: value` lines, Standard Webhooks' three among them. `now` in Unix seconds.

        Whatever a publisher put into a property, it stays inside its header: see `_safe`.
        """
        message_id = _safe(message_id)
        lines = [
            *self._fixed,
            f"webhook-id: {message_id}",
            f"webhook-timestamp: {now}",
            f"X-Delivery-Attempt: {attempt}",
        ]
        if not self._own_type:
            lines.append(f"Content-Type: {_safe(properties.content_type or 'application/octet-stream')}")
        if properties.content_encoding:
            lines.append(f"Content-Encoding: {_safe(properties.content_encoding)}")
        if properties.correlation_id:
            lines.append(f"X-Correlation-ID: {_safe(properties.correlation_id)}")
        if properties.headers:
            for name in ("traceparent", "tracestate"):  # W3C Trace Context
                value = properties.headers.get(name)
                if isinstance(value, str) and value:
                    lines.append(f"{name}: {_safe(value)}")
        if self._key is not None:
            lines.append(f"webhook-signature: {signing.sign(self._key, message_id, now, body)}")
        return lines


def _safe(value: str | bytes) -> str:
    """A field value (RFC 9110 §5.5): what is not printable ASCII is percent-encoded, so that no header is forged, and
    so is space at its ends, which a receiver would drop.

    Bytes are what a driver makes of text that is not UTF-8.
    """
    if isinstance(value, str) and value.isascii() and value.isprintable() and value == value.strip():
        return value
    safe = "!#$&'()*+,/:;=?@[]\"<>{}|^`~"
    return quote(value, safe=safe + " " if value == value.strip() else safe)

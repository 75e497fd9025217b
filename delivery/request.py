"""Builds the HTTP request of one delivery: URL, header lines and body."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from delivery.cloud_events import CloudEvent
from delivery.content_encoding import encoding_of, undecoded, with_charset
from delivery.copies import Source
from delivery.filter import first_match, predicate
from delivery.header_values import field_value, identifier, text_of
from delivery.payload import envelope
from delivery.signing import Signer
from delivery.template import UrlExpansion
from delivery.unsendable import Filtered, Routed
from domain.consumer import ConsumerSpec
from domain.message import PropertiesView
from domain.payload import PayloadTemplate
from domain.route import DEFAULT
from domain.signing_secret import RetiringSecret

JSON = "application/json"
_type_of = lru_cache(maxsize=256)(field_value)  # most messages have the type of those before


class Request(NamedTuple):
    """One request. `url` is None if all messages of the consumer have the same URL."""

    headers: list[str]
    body: bytes
    url: str | None = None


class Content(NamedTuple):
    """The payload of one message. `type` is its Content-Type; None if it is the message's own body."""

    body: bytes
    type: str | None = None


class RequestBuilder:
    """Builds the requests for one consumer's messages: raw, in an envelope, as CloudEvents, or with a rendered body."""

    def __init__(self, spec: ConsumerSpec, retiring: Sequence[RetiringSecret] = ()) -> None:
        """`retiring` are replaced signing secrets that still sign."""
        self._headers = RequestHeaders(spec, retiring)
        self._payload = spec.payload
        self._event = CloudEvent(spec.queue_name, spec.forward_headers, spec.headers)
        self._url = None if spec.url.fixed else UrlExpansion(spec.url)
        self._admits = None if spec.filter is None else predicate(spec.filter)
        self._routes = [route.name for route in spec.routes]
        self._first_match = first_match(route.when for route in spec.routes)
        template = spec.payload if isinstance(spec.payload, PayloadTemplate) else None
        self.template = template.template if template else None
        """what renders the body; None when `build` makes requests by itself"""
        self._rendered_type = template.content_type if template else None
        self.build: Callable[[Source, int, float], Request] = self._raw if self._plain else self._built

    @property
    def _plain(self) -> bool:
        return self._payload == "raw" and self._url is None and self._admits is None and not self._routes

    def admit(self, source: Source) -> None:
        """Raise Filtered when a message does not match the consumer's filter, Routed when the consumer has routes, and
        Unsendable when a pattern cannot be applied."""
        if self._admits is not None and not self._admits(source):
            why = undecoded(source.properties.content_encoding)
            raise Filtered(f"the message does not match the consumer's filter{why}")
        if self._routes:
            place = self._first_match(source)
            raise Routed(DEFAULT if place is None else self._routes[place])

    def rendered(self, body: bytes) -> Content:
        """Return the payload whose body `template` has made."""
        return Content(body, self._rendered_type)

    def content(self, source: Source, attempt: int) -> Content:
        """Return the payload of a message without a template. Raises what `admit` raises."""
        self.admit(source)
        return Content(envelope(source, attempt), JSON) if self._payload == "envelope" else Content(source.body)

    def of(self, source: Source, attempt: int, now: float, content: Content) -> Request:
        """Return the request with a payload; `now` is in Unix seconds. Raises Unsendable if the URL needs a value that
        the message lacks."""
        url = self._url.expand(source) if self._url else None
        args = source.properties, source.message_id, attempt, content.body, int(now), content.type
        lines = self._headers.lines(*args)
        if self._payload == "cloudevents":
            lines += self._event.lines(source)
        return Request(lines, content.body, url)

    def _raw(self, source: Source, attempt: int, now: float) -> Request:
        body = source.body
        return Request(self._headers.lines(source.properties, source.message_id, attempt, body, int(now)), body)

    def _built(self, source: Source, attempt: int, now: float) -> Request:
        """Raises what `content` and `of` raise."""
        return self.of(source, attempt, now, self.content(source, attempt))


class RequestHeaders:
    """Builds the header lines of one consumer's requests. Constant lines are built once.

    No name occurs twice: the consumer's own `headers` take precedence over the message's.
    """

    __slots__ = ("_fixed", "_forwarded", "_own_encoding", "_own_type", "_signer")

    def __init__(self, spec: ConsumerSpec, retiring: Sequence[RetiringSecret] = ()) -> None:
        own = {name.lower() for name in spec.headers}
        ours = {"X-Queue-Name": identifier(spec.queue_name), "User-Agent": "WorkerRMQ", "Accept": "*/*"}
        fixed = {name: value for name, value in ours.items() if name.lower() not in own}
        fixed |= {name: value.strip() for name, value in spec.headers.items()}
        self._fixed = [f"{name}: {field_value(value)}" for name, value in fixed.items() if value]
        self._own_type, self._own_encoding = "content-type" in own, "content-encoding" in own
        allowed = ("traceparent", "tracestate", *spec.forward_headers)  # the first two are W3C Trace Context
        self._forwarded = [name for name in allowed if name.lower() not in own]
        self._signer = Signer(spec.signing_secret, retiring) if spec.signing_secret else None

    def lines(
        self,
        properties: PropertiesView,
        message_id: str,
        attempt: int,
        body: bytes,
        now: int,
        content_type: str | None = None,
    ) -> list[str]:
        """Return `Name: value` lines, including the three of Standard Webhooks. `now` is in Unix seconds.
        `content_type` means that `body` is not the message's own; the message's content type and encoding are left out
        then.

        No value of a property can end its header line; see `field_value`.
        """
        message_id = identifier(message_id)
        lines = [
            *self._fixed,
            f"webhook-id: {message_id}",
            f"webhook-timestamp: {now}",
            f"X-Delivery-Attempt: {attempt}",
        ]
        coding, content = None, _type_of(content_type or properties.content_type or "application/octet-stream")
        if properties.content_encoding and content_type is None:
            coding, charset = encoding_of(properties.content_encoding)
            content = with_charset(content, charset)
        if not self._own_type:
            lines.append(f"Content-Type: {content}")
        if coding and not self._own_encoding:
            lines.append(f"Content-Encoding: {coding}")
        if properties.correlation_id:
            lines.append(f"X-Correlation-ID: {identifier(properties.correlation_id)}")
        if properties.headers:
            for name in self._forwarded:
                value = text_of(properties.headers.get(name))
                if value:
                    lines.append(f"{name}: {field_value(value)}")
        if self._signer is not None:
            lines.append(f"webhook-signature: {self._signer.signatures(message_id, now, body)}")
        return lines

    def batch_lines(self, batch_id: str, body: bytes, now: int, content_type: str) -> list[str]:
        """Return the lines of a request with several messages, which `body` has in it. `now` is in Unix seconds."""
        lines = [*self._fixed, f"webhook-id: {batch_id}", f"webhook-timestamp: {now}"]
        if not self._own_type:
            lines.append(f"Content-Type: {content_type}")
        if self._signer is not None:
            lines.append(f"webhook-signature: {self._signer.signatures(batch_id, now, body)}")
        return lines

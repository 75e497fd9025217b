"""Batches: builds one request of several messages, and reads which of them the target could not process."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from delivery.cloud_events import CloudEvent
from delivery.content_encoding import undecoded
from delivery.copies import Source
from delivery.header_values import is_json
from delivery.request import JSON, Content, Request, RequestHeaders
from delivery.unsendable import Unsendable
from domain.consumer import ConsumerSpec
from domain.outcome import Answer, Outcome
from domain.signing_secret import RetiringSecret


class _Format(NamedTuple):
    content_type: str
    before: bytes
    between: bytes
    after: bytes


_ARRAY = b"[", b",", b"]"
_FORMATS = {
    "json": _Format(JSON, *_ARRAY),
    "ndjson": _Format("application/x-ndjson", b"", b"\n", b"\n"),
    "cloudevents": _Format("application/cloudevents-batch+json", *_ARRAY),
}


class BatchBuilder:
    """Builds the requests for batches of one consumer with `batch`."""

    def __init__(self, spec: ConsumerSpec, retiring: Sequence[RetiringSecret] = ()) -> None:
        """`retiring` are replaced signing secrets that still sign."""
        assert spec.batch is not None
        self._headers = RequestHeaders(spec, retiring)
        self._format, self._limit = _FORMATS[spec.batch.format], spec.batch.max_bytes
        self._event = CloudEvent(spec.queue_name, spec.forward_headers, spec.headers)
        self._is_json = spec.payload == "envelope"  # so that it need not be checked
        self._element = self._as_event if spec.batch.format == "cloudevents" else self._as_json

    def counts(self, elements: Sequence[bytes]) -> list[int]:
        """Return the number of elements of each request for these elements, as many as `maxBytes` allows, at least
        one."""
        _, before, between, after = self._format
        counts, size = list[int](), 0
        for element in elements:
            size += len(between) + len(element)
            if counts and size <= self._limit:
                counts[-1] += 1
            else:
                counts.append(1)
                size = len(before) + len(element) + len(after)
        return counts

    def request(self, elements: Sequence[bytes], now: float) -> Request:
        """Return the request with these elements, at least one; `now` is in Unix seconds."""
        content_type, before, between, after = self._format
        body = before + between.join(elements) + after
        lines = self._headers.batch_lines(f"batch_{uuid.uuid4().hex}", body, int(now), content_type)
        return Request(lines, body)

    def of_one(self, source: Source, content: Content | Unsendable) -> Request | Unsendable:
        """Return the request with one message, or the reason why there is none."""
        element = self.element(source, content)
        return element if isinstance(element, Unsendable) else self.request([element], time.time())

    def element(self, source: Source, content: Content | Unsendable) -> bytes | Unsendable:
        """Return one message's part of the body, or the reason why it has none."""
        if isinstance(content, Unsendable):
            return content
        return self._element(source, content)

    def _as_event(self, source: Source, content: Content) -> bytes | Unsendable:
        return self._event.structured(source, *content)

    def _as_json(self, source: Source, content: Content) -> bytes | Unsendable:
        body = content.body
        if not self._is_json and not is_json(body):
            why = undecoded(source.properties.content_encoding)
            return Unsendable(f"the payload is not JSON, which this format of batches requires{why}")
        # JSON has line breaks only between its tokens (RFC 8259 §2), and there a space means the same.
        return body.replace(b"\r", b" ").replace(b"\n", b" ") if self._format.between == b"\n" else body


class Named(NamedTuple):
    """One message that the target could not process: the outcome, and the answer by which to settle it."""

    outcome: Outcome
    answer: Answer


class Unreadable(ValueError):
    """The target's answer does not say which messages of a batch failed."""


_FAILURES, _ID, _OUTCOME, _AFTER = "batchItemFailures", "itemIdentifier", "outcome", "retryAfter"
_SHOWN = 100
"""Characters of an unknown identifier in the error, of which each message of the batch has a copy."""
_OUTCOMES = {"retry": Outcome.RETRY, "reject": Outcome.REJECT}


def failures(answer: Answer, ids: Sequence[str | bytes]) -> dict[int, Named]:
    """Return the failed messages of a batch by their position. `ids` are the message ids; `itemIdentifier` is one of
    them, or a position as a number. An empty body, or no `batchItemFailures`, means that none failed.

    The form is AWS Lambda's (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html), with
    `outcome` (retry or reject) and `retryAfter` (seconds). Raises Unreadable, also for an unknown identifier.
    """
    if not answer.body.strip():
        return {}
    try:
        found = orjson.loads(answer.body)
    except ValueError as exc:
        raise Unreadable(f"the answer is not JSON: {exc}") from None
    listed = found.get(_FAILURES) if isinstance(found, dict) else found
    if listed is None:
        return {}
    if not isinstance(found, dict) or not isinstance(listed, list):
        raise Unreadable(f'the answer must be {{"{_FAILURES}": [{{"{_ID}": "…"}}]}}')
    places: dict[str | bytes | int, list[int]] = {place: [place] for place in range(len(ids))}
    for place, one in enumerate(ids):  # publishers may give two messages the same id
        places.setdefault(one, []).append(place)
    named: dict[str | int, Named] = {}
    for item in listed:
        outcome, identifier = _failed(item, answer), item[_ID]
        known = isinstance(identifier, str | int) and not isinstance(identifier, bool)
        if not known or identifier not in places:
            raise Unreadable(f"{_ID} {orjson.dumps(identifier).decode()[:_SHOWN]} is not in the batch")
        named[identifier] = outcome
    return {place: outcome for identifier, outcome in named.items() for place in places[identifier]}


def _failed(item: Any, answer: Answer) -> Named:
    if not isinstance(item, dict) or _ID not in item:
        raise Unreadable(f"each of {_FAILURES} must have {_ID}")
    name, after = item.get(_OUTCOME), item.get(_AFTER)
    name = "retry" if name is None else name
    if not isinstance(name, str) or name not in _OUTCOMES:
        raise Unreadable(f"{_OUTCOME} must be 'retry' or 'reject'")
    if after is not None and (isinstance(after, bool) or not isinstance(after, int | float) or after < 0):
        raise Unreadable(f"{_AFTER} must be a number of seconds")
    return Named(_OUTCOMES[name], answer._replace(detail=f"named in {_FAILURES}", retry_after=after))

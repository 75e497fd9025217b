"""Batches: bodies of each format, and answers that name the messages that failed."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from delivery.batch import BatchBuilder, Unreadable, failures
from delivery.copies import Source
from delivery.request import Content
from delivery.unsendable import Unsendable
from domain.consumer import ConsumerSpec
from domain.message import Properties
from domain.outcome import Answer, Outcome


def builder(**batch: Any) -> BatchBuilder:
    return BatchBuilder(ConsumerSpec(queue_name="orders", url="http://t.example/", batch=batch))


def source(body: bytes = b"{}", **properties: Any) -> Source:
    return Source("orders", "", "orders", Properties(**properties), body, "m-1")


def failed(body: Any, *ids: str) -> dict[int, tuple[Outcome, float | None]]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = failures(Answer(200, None, "", 0.1, body=content), ids)
    return {place: (one.outcome, one.answer.retry_after) for place, one in found.items()}


@pytest.mark.parametrize("body", [b"", b" \n", {}, None, {"batchItemFailures": []}, {"batchItemFailures": None}])
def test_an_answer_without_failures_means_that_none_failed(body: Any) -> None:
    assert failed(body, "a", "b") == {}


def test_failures_are_named_by_id_or_position_with_outcome_and_pause() -> None:
    items = [
        {"itemIdentifier": "b", "outcome": None, "retryAfter": 30, "reason": "ignored"},
        {"itemIdentifier": 2, "outcome": "reject"},
        {"itemIdentifier": "twice"},
    ]
    assert failed({"batchItemFailures": items}, "a", "b", "c", "twice", "twice") == {
        1: (Outcome.RETRY, 30),
        2: (Outcome.REJECT, None),
        3: (Outcome.RETRY, None),
        4: (Outcome.RETRY, None),
    }


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        [],
        "text",
        {"batchItemFailures": {}},
        {"batchItemFailures": ["a"]},
        {"batchItemFailures": [{}]},
        {"batchItemFailures": [{"itemIdentifier": None}]},
        {"batchItemFailures": [{"itemIdentifier": "unknown"}]},
        {"batchItemFailures": [{"itemIdentifier": 2}]},
        {"batchItemFailures": [{"itemIdentifier": -1}]},
        {"batchItemFailures": [{"itemIdentifier": True}]},
        {"batchItemFailures": [{"itemIdentifier": 1.0}]},
        {"batchItemFailures": [{"itemIdentifier": []}]},
        {"batchItemFailures": [{"itemIdentifier": "a", "outcome": "success"}]},
        {"batchItemFailures": [{"itemIdentifier": "a", "outcome": []}]},
        {"batchItemFailures": [{"itemIdentifier": "a", "retryAfter": -1}]},
        {"batchItemFailures": [{"itemIdentifier": "a", "retryAfter": "soon"}]},
    ],
)
def test_any_other_answer_cannot_be_read(body: Any) -> None:
    with pytest.raises(Unreadable):
        failed(body, "a", "b")


@pytest.mark.parametrize(("identifier", "shown"), [(None, "null"), (True, "true"), ("c", '"c"'), (7, "7")])
def test_an_unknown_identifier_is_shown_as_the_target_wrote_it(identifier: Any, shown: str) -> None:
    with pytest.raises(Unreadable, match=f"itemIdentifier {shown} is not in the batch"):
        failed({"batchItemFailures": [{"itemIdentifier": identifier}]}, "a", "b")


def test_the_reason_names_the_encoding_of_a_payload_that_is_not_json() -> None:
    packed = source(gzip.compress(b"{}"), content_encoding="gzip")
    refused = builder(format="json").element(packed, Content(packed.body, "application/json"))
    assert isinstance(refused, Unsendable)
    assert "its content encoding is gzip, which the service does not decode" in str(refused)


@given(st.binary(), st.lists(st.text()))
def test_no_answer_raises_anything_else(body: bytes, ids: list[str]) -> None:
    try:
        found = failures(Answer(200, None, "", 0.1, body=body), ids)
    except Unreadable:
        return
    assert set(found) <= set(range(len(ids)))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(json_values, min_size=1, max_size=20), st.integers(1, 200), st.sampled_from(["json", "ndjson"]))
def test_bodies_have_every_payload_once_in_order_and_within_the_limit(values: list[Any], limit: int, form: str) -> None:
    """Indented payloads, whose line breaks must not end a line of NDJSON."""
    building = builder(format=form, max_bytes=limit)
    elements = []
    for value in values:
        body = json.dumps(value, indent=1).encode()
        element = building.element(source(body), Content(body))
        assert isinstance(element, bytes)
        elements.append(element)
    read = []
    for count in building.counts(elements):
        request = building.request(elements[:count], 0)
        assert count == 1 or len(request.body) <= limit
        lines = request.body.split(b"\n")[:-1] if form == "ndjson" else []
        read += [json.loads(line) for line in lines] if lines else json.loads(request.body)
        elements = elements[count:]
    assert read == values


@pytest.mark.parametrize("body", [b"", b"text", b"{} {}", b"\xff", b"NaN", b"\xef\xbb\xbf{}"])
def test_a_payload_that_is_not_json_has_no_place_in_json(body: bytes) -> None:
    for form in ("json", "ndjson"):
        assert isinstance(builder(format=form).element(source(body), Content(body)), Unsendable)


@pytest.mark.parametrize(
    ("body", "properties", "member"),
    [
        (b'{"a": 1}', {"content_type": "application/json"}, {"data": {"a": 1}}),
        (b'{"a": 1}', {"content_type": "application/vnd.shop+json; charset=utf-8"}, {"data": {"a": 1}}),
        (b'{"a": 1}', {}, {"data": {"a": 1}}),
        (b"{", {"content_type": "application/json"}, {"data_base64": "ew=="}),
        (b"text", {}, {"data": "text"}),
        (b'{"a": 1}', {"content_type": "text/plain"}, {"data": '{"a": 1}'}),
        (b"\xff", {"content_type": "text/plain"}, {"data_base64": "/w=="}),
        (b"\xe4", {"content_type": "text/plain", "content_encoding": "latin-1"}, {"data_base64": "5A=="}),
        (b"{}", {"content_type": "application/json", "content_encoding": "gzip"}, {"data_base64": "e30="}),
    ],
)
def test_the_data_of_a_cloud_event_is_json_text_or_base64(
    body: bytes, properties: dict[str, Any], member: dict[str, Any]
) -> None:
    element = builder(format="cloudevents").element(source(body, **properties), Content(body))
    assert isinstance(element, bytes)
    event = json.loads(element)
    assert {name: value for name, value in event.items() if name.startswith("data") and name in member} == member
    assert (event.get("contentencoding") == "gzip") == (properties.get("content_encoding") == "gzip")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"url": "http://t.example/{messageId}"}, "needs a url without"),
        ({"reply": True}, "cannot be combined with reply"),
        ({"forward_headers": ("x-a",)}, "cannot be combined with forwardHeaders"),
        ({"payload": "cloudevents"}, "needs format cloudevents"),
        ({"batch": {"maxMessages": 0}}, "greater than or equal to 1"),
        ({"batch": {"format": "xml"}}, "'json', 'ndjson' or 'cloudevents'"),
    ],
)
def test_fields_that_need_one_message_a_request_are_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        ConsumerSpec(**{"queue_name": "orders", "url": "http://t.example/", "batch": {}} | fields)


def test_the_prefetch_has_room_for_two_batches() -> None:
    spec = ConsumerSpec(queue_name="orders", url="http://t.example/", batch={"maxMessages": 500})
    assert spec.most_unsettled == 1000

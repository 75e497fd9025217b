"""The envelope: one JSON object that holds the message as its publisher sent it."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from amqp_wire.values import Byte, Float, Long
from delivery.copies import Source, retry_copy
from delivery.payload import envelope
from delivery.request import RequestBuilder
from domain.consumer import ConsumerSpec
from domain.message import Properties
from domain.outcome import Answer

scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=9)
    | st.binary(max_size=9) | st.decimals() | st.datetimes(timezones=st.just(UTC))
)  # fmt: skip
names = st.text(max_size=9)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
tables = st.dictionaries(names, values, max_size=5)


def source(body: bytes = b"{}", message_id: str = "m-1", **properties: Any) -> Source:
    return Source("orders", "shop", "order.created", Properties(**properties), body, message_id)


def test_an_envelope_holds_all_that_amqp_says_of_a_message() -> None:
    sent = source(
        b'{"n": 1}', content_type="application/json", correlation_id="c-1", reply_to="answers", expiration="60000",
        type="order", app_id="shop", priority=3, timestamp=1_700_000_000, headers={"x-tenant": "acme"},
    )  # fmt: skip
    assert json.loads(envelope(sent, 2)) == {
        "messageId": "m-1",
        "queue": "orders",
        "exchange": "shop",
        "routingKey": "order.created",
        "attempt": 2,
        "properties": {
            "contentType": "application/json",
            "correlationId": "c-1",
            "replyTo": "answers",
            "expiration": "60000",
            "type": "order",
            "appId": "shop",
            "priority": 3,
            "timestamp": 1_700_000_000,
            "deliveryMode": 2,
        },
        "headers": {"x-tenant": "acme"},
        "bodyEncoding": "text",
        "body": '{"n": 1}',
    }


@given(st.binary())
def test_the_body_comes_out_as_it_went_in_whether_it_is_text_or_not(body: bytes) -> None:
    got = json.loads(envelope(source(body), 1))
    text = got["body"]
    assert (text.encode() if got["bodyEncoding"] == "text" else base64.b64decode(text)) == body


def test_values_without_a_json_type_are_written_as_text() -> None:
    headers = {
        "price": Decimal("12.30"),
        "at": datetime(2026, 11, 22, 13, 0, tzinfo=UTC),
        "raw": b"\xff\x00",
        "text": "grün".encode(),
        "endless": float("inf"),
        "narrow": [Byte(7), Float(1.5), Long(1)],
        "nested": {"list": [1, True, None, {"deep": Decimal(1)}]},
    }
    assert json.loads(envelope(source(headers=headers), 1))["headers"] == {
        "price": "12.30",
        "at": "2026-11-22T13:00:00Z",
        "raw": {"base64": "/wA="},
        "text": "grün",
        "endless": "inf",
        "narrow": [7, 1.5, 1],
        "nested": {"list": [1, True, None, {"deep": "1"}]},
    }


@given(tables)
def test_any_field_table_can_be_written_to_an_envelope(headers: dict[str, Any]) -> None:
    got = json.loads(envelope(source(headers=headers), 1))["headers"]
    assert set(got) == set(headers)


def test_a_message_that_came_back_for_another_attempt_looks_as_it_did_at_first() -> None:
    first = source(expiration="60000", headers={"x-tenant": "acme", "x-death": [{"queue": "elsewhere"}]})
    copy = retry_copy(first, "erp", Answer(503, None, "", 0.1), 5, "workerrmq.delay.2", 1_700_000_000.0)
    again = Source("orders", "", "orders", copy.properties, copy.body, "m-1")
    before, after = json.loads(envelope(first, 1)), json.loads(envelope(again, 2))
    assert after.pop("attempt") == 2
    assert before.pop("attempt") == 1
    assert after["properties"].pop("messageId") == "m-1"  # it has had one since
    assert after == before


def test_the_request_says_that_its_body_is_json_and_signs_what_is_sent() -> None:
    spec = ConsumerSpec(queue_name="orders", url="http://target.example/", payload="envelope")
    request = RequestBuilder(spec).build(source(content_type="text/csv", content_encoding="gzip"), 1, 0.0)
    lines = [line.lower() for line in request.headers]
    assert [line for line in lines if line.startswith("content-")] == ["content-type: application/json"]
    assert json.loads(request.body)["properties"]["contentEncoding"] == "gzip"
    own = spec.model_copy(update={"headers": {"Content-Type": "application/vnd.shop+json"}})
    lines = RequestBuilder(own).build(source(), 1, 0.0).headers
    assert [line for line in lines if line.lower().startswith("content-")] == [
        "Content-Type: application/vnd.shop+json"
    ]

"""CloudEvents over HTTP, read by the library of those who wrote the specification."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_binary_event
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from delivery.copies import Source, retry_copy
from delivery.request import RequestBuilder
from domain.consumer import ConsumerSpec
from domain.message import Properties
from domain.outcome import Answer

text = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=40)


def source(message_id: str = "m-1", routing_key: str = "order.created", **properties: Any) -> Source:
    return Source("orders", "shop", routing_key, Properties(**properties), b'{"n": 1}', message_id)


def headers_of(sent: Source, **fields: Any) -> dict[str, str]:
    """As they are sent; no name twice."""
    spec = ConsumerSpec(**{"queue_name": sent.queue, "url": "http://target.example/", **fields}, payload="cloudevents")
    request = RequestBuilder(spec).build(sent, 1, 0.0)
    assert request.body == sent.body
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in request.headers)}
    assert len(headers) == len(request.headers)
    return headers


def received(sent: Source, **fields: Any) -> CloudEvent:
    event = from_binary_event(HTTPMessage(headers_of(sent, **fields), sent.body))
    assert isinstance(event, CloudEvent)
    return event


def test_a_message_is_an_event_with_its_own_id_type_subject_and_time() -> None:
    event = received(
        source(content_type="application/json", type="shop.order.created", timestamp=1_700_000_000, correlation_id="c")
    )
    assert event.get_attributes() == {
        "specversion": "1.0",
        "id": "m-1",
        "source": "/queues/orders",
        "type": "shop.order.created",
        "subject": "order.created",
        "time": datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
        "datacontenttype": "application/json",
        "correlationid": "c",
    }
    assert event.get_data() == {"n": 1}


def test_a_message_that_says_nothing_is_an_event_still() -> None:
    assert received(source(routing_key="")).get_type() == "workerrmq.message"
    names = {name for name in headers_of(source(routing_key="")) if name.startswith("ce-")}
    assert names == {"ce-specversion", "ce-id", "ce-source", "ce-type"}


@given(text, text, text)
def test_a_cloud_event_has_any_id_type_and_subject_unchanged(message_id: str, kind: str, routing_key: str) -> None:
    event = received(source(message_id, routing_key, type=kind))
    assert (event.get_id(), event.get_type(), event.get_subject()) == (message_id, kind, routing_key)


@pytest.mark.parametrize("timestamp", [1_700_000_000_000, -(2**62), 2**63 - 1])
def test_a_timestamp_that_is_no_time_is_left_out(timestamp: int) -> None:
    assert "ce-time" not in headers_of(source(timestamp=timestamp))


def test_the_source_is_a_uri_whatever_the_queue_is_called() -> None:
    sent = Source("очередь / 1", "", "", Properties(), b"", "m")
    event_source = received(sent, queue_name=sent.queue).get_source()
    assert event_source == "/queues/" + quote(sent.queue, safe="")


def test_forwarded_headers_are_extensions_where_their_names_allow_it_and_no_others_are() -> None:
    headers = {"x-tenant-id": "acme", "x-n": 7, "x-id": "forged", "x-table": {"a": 1}, "x-private": "no", "x-_": "no"}
    sent = source(headers=headers | {"traceparent": "00-ab-cd-01"})
    names = ("x-tenant-id", "x-n", "x-id", "x-table", "x-_", "x-missing")
    extensions = {name for name in headers_of(sent, forward_headers=names) if name.startswith("ce-")}
    assert extensions - set(headers_of(source())) == {"ce-tenantid", "ce-n", "ce-traceparent"}
    event = received(sent, forward_headers=names)
    assert (event.get_id(), event.get_extension("tenantid"), event.get_extension("n")) == ("m-1", "acme", "7")


def test_a_ce_header_of_the_consumer_overrides_the_attribute() -> None:
    event = received(source(type="theirs"), headers={"ce-type": "ours", "CE-Source": "/shop"})
    assert (event.get_type(), event.get_source()) == ("ours", "/shop")


def test_a_second_attempt_is_the_same_event() -> None:
    first = source(type="order", timestamp=1_700_000_000)
    copy = retry_copy(first, "erp", Answer(503, None, "", 0.1), 5, "workerrmq.delay.2", 1_700_000_000.0)
    again = Source("orders", "", "orders", copy.properties, copy.body, "m-1")
    assert headers_of(again) == headers_of(first)

"""The header lines of a request: what a target relies on, and what no publisher can forge."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from delivery.header_values import identifier
from delivery.request import RequestHeaders
from domain.consumer import ConsumerSpec
from domain.message import Properties

SECRET = "whsec_" + base64.b64encode(bytes(32)).decode()
# What a driver may hand us for any short string: text, or bytes when it is not UTF-8.
anything = st.one_of(st.text(max_size=40), st.binary(max_size=40))


def spec(**fields: Any) -> ConsumerSpec:
    return ConsumerSpec(**{"queue_name": "orders", "url": "http://target.example/", **fields})


def received(lines: list[str]) -> dict[str, str]:
    """As an HTTP server reads them (RFC 9110 §5.5): without the space around a value; no name twice."""
    found: dict[str, str] = {}
    for line in lines:
        line.encode("ascii")  # else curl would not take it
        assert line.isprintable()
        name, _, value = line.partition(":")
        assert name.lower() not in found
        found[name.lower()] = value.strip(" \t")
    return found


def test_a_request_says_which_message_it_is_from_where_and_which_attempt() -> None:
    properties = Properties(
        content_type="application/json",
        content_encoding="gzip",
        correlation_id="c-1",
        headers={"traceparent": "00-0af7-b7ad-01", "tracestate": "a=1", "x-other": "stays here"},
    )
    got = received(RequestHeaders(spec(headers={"X-Env": "prod"})).lines(properties, "m-1", 3, b"{}", 1_700_000_000))
    assert got == {
        "x-queue-name": "orders",
        "user-agent": "WorkerRMQ",
        "accept": "*/*",
        "x-env": "prod",
        "webhook-id": "m-1",
        "webhook-timestamp": "1700000000",
        "x-delivery-attempt": "3",
        "content-type": "application/json",
        "content-encoding": "gzip",
        "x-correlation-id": "c-1",
        "traceparent": "00-0af7-b7ad-01",
        "tracestate": "a=1",
    }


def test_a_message_without_properties_is_bytes_and_bears_no_empty_headers() -> None:
    got = received(RequestHeaders(spec()).lines(Properties(), "m", 1, b"", 1))
    assert got["content-type"] == "application/octet-stream"
    assert not {"x-correlation-id", "traceparent", "tracestate", "content-encoding", "webhook-signature"} & set(got)


@pytest.mark.parametrize("name", ["Content-Type", "content-type"])
def test_a_content_type_fixed_by_the_consumer_replaces_the_messages_own(name: str) -> None:
    fixed = RequestHeaders(spec(headers={name: "text/csv"}))
    got = received(fixed.lines(Properties(content_type="a/b"), "m", 1, b"", 1))
    assert got["content-type"] == "text/csv"


@given(anything, anything, anything, st.one_of(st.none(), st.dictionaries(st.sampled_from(["traceparent"]), anything)))
def test_a_publishers_values_cannot_add_header_lines(
    content_type: Any, correlation_id: Any, message_id: Any, headers: Any
) -> None:
    properties = Properties(content_type=content_type, correlation_id=correlation_id, headers=headers)
    lines = RequestHeaders(spec(queue_name="очередь\x85\u2028\t")).lines(properties, message_id or "m", 1, b"", 1)
    allowed = {"x-queue-name", "user-agent", "expect", "accept", "webhook-id", "webhook-timestamp",
               "x-delivery-attempt", "content-type", "x-correlation-id", "traceparent"}  # fmt: skip
    assert set(received(lines)) <= allowed


@given(anything.filter(bool), st.text(max_size=40))
def test_the_signature_holds_for_the_id_that_the_target_sees_however_odd_it_is(message_id: Any, body: str) -> None:
    signed = RequestHeaders(spec(signing_secret=SECRET))
    lines = signed.lines(Properties(), message_id, 1, body.encode(), int(time.time()))
    Webhook(SECRET).verify(body, received(lines), json_parse=False)


@given(st.text(st.characters(min_codepoint=0x20, exclude_characters="\x7f", exclude_categories=("Cs",)), max_size=40))
def test_a_fixed_header_that_is_not_ascii_can_still_be_sent(value: str) -> None:
    received(RequestHeaders(spec(headers={"X-Note": value})).lines(Properties(), "m", 1, b"", 1))


@pytest.mark.parametrize("content_type", [b"text/\xff", "text/plain\r\nX-Queue-Name: payroll", "text/\u2603"])
def test_a_charset_joins_whatever_the_publisher_wrote_as_content_type(content_type: Any) -> None:
    properties = Properties(content_type=content_type, content_encoding="utf-8")
    got = received(RequestHeaders(spec()).lines(properties, "m-1", 1, b"{}", 1_700_000_000))
    assert got["content-type"].startswith("text/")
    assert got["content-type"].endswith("; charset=utf-8")


@pytest.mark.parametrize("other", ["%C3%BC-X", b"\xfc-X", "%FC-X", " ü-X", "%20%C3%BC-X", "%25C3%25BC-X"])
def test_different_ids_and_names_have_different_headers(other: Any) -> None:
    names = ("webhook-id", "x-correlation-id")
    one, two = (
        received(RequestHeaders(spec()).lines(Properties(correlation_id=value), value, 1, b"", 1))
        for value in ("ü-X", other)
    )
    assert [one[name] for name in names] == ["%C3%BC-X"] * 2
    assert all(two[name] != one[name] for name in names)


def is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


either = st.one_of(
    st.text(st.sampled_from("a%25Cü "), max_size=6), st.binary(max_size=6).filter(lambda one: not is_text(one))
)


@given(either, either)
def test_an_id_is_never_encoded_as_another(one: Any, other: Any) -> None:
    assert (identifier(one) == identifier(other)) == (one == other)


def test_a_percent_sign_is_encoded_in_ids_and_the_queues_name_but_not_in_other_headers() -> None:
    headers = RequestHeaders(spec(queue_name="50%", headers={"X-Note": "50%"}, forward_headers=("x-rate",)))
    properties = Properties(correlation_id="c%", headers={"x-rate": "50%"})
    got = received(headers.lines(properties, "m%", 1, b"", 1))
    assert (got["webhook-id"], got["x-queue-name"], got["x-correlation-id"]) == ("m%25", "50%25", "c%25")
    assert (got["x-note"], got["x-rate"]) == ("50%", "50%")

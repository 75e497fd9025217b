"""URLs that messages complete: a value stays where it was put, or the message is not sent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from delivery.copies import Source, retry_copy
from delivery.request import RequestBuilder
from delivery.template import UrlExpansion
from delivery.unsendable import Unsendable
from domain.consumer import ConsumerSpec
from domain.message import Properties
from domain.outcome import Answer
from domain.url_template import UrlTemplate

HOST = "https://erp.example:8443"


def source(routing_key: str = "orders.eu", message_id: str = "m-1", **properties: Any) -> Source:
    return Source("orders", "shop", routing_key, Properties(**properties), b"", message_id)


def expanded(path: str, **fields: Any) -> str:
    return UrlExpansion(UrlTemplate(HOST + path)).expand(source(**fields)).removeprefix(HOST)


def test_each_placeholder_says_what_the_message_says() -> None:
    got = expanded(
        "/{header:x-tenant}/{messageId}?key={routingKey}&c={correlationId}&100%25",
        headers={"x-tenant": "acme"},
        correlation_id="c-1",
    )
    assert got == "/acme/m-1?key=orders.eu&c=c-1&100%25"


@pytest.mark.parametrize(
    ("value", "encoded"),
    [("a b?c=d&e#f%2F", "a%20b%3Fc%3Dd%26e%23f%252F"), ("ä", "%C3%A4"), (b"\xff", "%FF"), (7, "7"), (True, "true"),
     (Decimal("1.50"), "1.50"), ("%s{messageId}", "%25s%7BmessageId%7D")],
)  # fmt: skip
def test_values_are_percent_encoded(value: object, encoded: str) -> None:
    assert expanded("/{header:v}?q={header:v}", headers={"v": value}) == f"/{encoded}?q={encoded}"


@given(st.text(min_size=1))
def test_a_value_is_one_segment_or_one_parameter_whatever_it_is(value: str) -> None:
    try:
        got = urlsplit(HOST + expanded("/a/{header:v}/b?q={header:v}&end", headers={"v": value}))
    except (Unsendable, UnicodeEncodeError):
        return
    before, segment, after = got.path.removeprefix("/").split("/")
    assert (got.netloc, before, unquote(segment), after) == ("erp.example:8443", "a", value, "b")
    assert [unquote(part) for part in got.query.split("&")] == [f"q={value}", "end"]


@pytest.mark.parametrize("value", ["..", ".", "a/b", "/", "..\\x", "../../admin", "a\0", "a\r\nb", b"..", b"/"])
def test_a_value_that_would_leave_its_place_in_the_path_is_not_sent(value: object) -> None:
    with pytest.raises(Unsendable):
        expanded("/tenants/{header:v}/orders", headers={"v": value})


@pytest.mark.parametrize("path", ["/a/{header:v}{header:v}/b", "/a/.{header:v}/b", "/a/%2e{header:v}"])
def test_values_cannot_make_dots_together_or_with_what_stands_beside_them(path: str) -> None:
    with pytest.raises(Unsendable, match=r"'\.\.'"):
        expanded(path, headers={"v": "."})


def test_in_the_query_slashes_and_dots_are_values_like_any_other() -> None:
    assert expanded("/?file={header:v}", headers={"v": "../x"}) == "/?file=..%2Fx"


@pytest.mark.parametrize(
    ("headers", "why"),
    [(None, "missing"), ({"V": "other case"}, "missing"), ({"v": ""}, "empty"), ({"v": {"a": 1}}, "a table"),
     ({"v": [1]}, "a table")],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/{header:v}", "/?v={header:v}"])
def test_a_message_without_the_value_is_not_sent_and_the_reason_names_it(path: str, headers: Any, why: str) -> None:
    with pytest.raises(Unsendable, match=rf"\{{header:v\}}, which is {why}"):
        expanded(path, headers=headers)


def test_percent_signs_of_the_url_itself_stay_as_they_are() -> None:
    assert expanded("/a%20b?id={messageId}") == "/a%20b?id=m-1"
    assert expanded("/{messageId}/%25s?q=100%25") == "/m-1/%25s?q=100%25"


def test_a_second_attempt_goes_to_the_same_url() -> None:
    template = UrlExpansion(UrlTemplate(HOST + "/{routingKey}/{header:x-tenant}/{messageId}"))
    first = source(headers={"x-tenant": "acme"})
    copy = retry_copy(first, "erp", Answer(503, None, "", 0.1), 5, "workerrmq.delay.2", 1_700_000_000.0)
    again = Source("orders", "", "orders", copy.properties, copy.body, "m-1")
    assert template.expand(again) == template.expand(first)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [("/{tenant}", r"\{tenant\}.*\{messageId\}"), ("/{}", "placeholder"), ("/{header:}", "header:NAME"),
     ("/{messageId", "brace"), ("/messageId}", "brace"), ("/{{messageId}}", "brace")],
)  # fmt: skip
def test_an_invalid_placeholder_is_refused_with_a_reason(path: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        UrlTemplate(HOST + path)


@pytest.mark.parametrize(
    "url",
    ["https://{header:x-host}/", "https://erp.{routingKey}.example/", "https://erp.example:{header:port}/",
     "{header:scheme}://erp.example/", "https://{messageId}:x@erp.example/", "https://erp.example{messageId}/",
     "https://erp.example{messageId}?q"],
)  # fmt: skip
def test_no_message_chooses_where_it_goes(url: str) -> None:
    with pytest.raises(ValidationError, match="path or the query, not in scheme, host, port or user"):
        ConsumerSpec(queue_name="q", url=url)


def test_without_placeholders_no_request_says_where_it_goes() -> None:
    spec = ConsumerSpec(queue_name="q", url=HOST + "/a%20b?c=%7B%7D")
    assert RequestBuilder(spec).build(source(), 1, 0.0).url is None

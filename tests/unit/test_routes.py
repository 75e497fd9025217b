"""A consumer with routes: which route a message takes, and the consumers that it is made of."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from delivery.copies import Source, attempts_charged, original, routed_copy
from delivery.filter import first_match
from delivery.request import RequestBuilder
from delivery.unsendable import Filtered, Routed, Unsendable
from domain.consumer import ConsumerSpec
from domain.errors import Invalid
from domain.filter_pattern import FilterPattern
from domain.message import Properties
from domain.router import Route, consumers_of, parsed, placed, router_of, whole_of

TOTALS = [FilterPattern({"body": {"total": {"$gte": least}}}) for least in (100, 10, 50)]


def message(body: bytes = b"{}", headers: dict[str, Any] | None = None, **properties: Any) -> Source:
    return Source("orders", "events", "order.new", Properties(headers=headers, **properties), body, "m-1")


def whole(**fields: Any) -> ConsumerSpec:
    routes = (
        Route(name="a", when=TOTALS[0], url="https://a.example/", auth={"type": "bearer", "token": "t"}),
        Route(name="b", when=TOTALS[1], url="https://b.example/", timeout=3, rate_limit={"perSecond": 2}),
    )
    return ConsumerSpec(queue_name="orders", url="https://own.example/", **fields).model_copy(update={"routes": routes})


@pytest.mark.parametrize(
    ("body", "place"),
    [(b'{"total": 100}', 0), (b'{"total": 99}', 1), (b'{"total": 10}', 1), (b'{"total": 9}', None), (b"no JSON", None)],
)
def test_the_first_pattern_that_matches_decides(body: bytes, place: int | None) -> None:
    assert first_match(TOTALS)(message(body)) == place
    with pytest.raises(Routed) as routed:
        RequestBuilder(router_of(whole())).build(message(body), 1, 0)
    assert str(routed.value) == {0: "a", 1: "b", None: "default"}[place]


def test_the_filter_applies_before_the_routes() -> None:
    small = FilterPattern({"body": {"total": {"$lt": 100}}})
    builder = RequestBuilder(router_of(whole(filter=small, otherwise="discard")))
    with pytest.raises(Filtered):
        builder.admit(message(b'{"total": 100}'))
    with pytest.raises(Routed, match=r"^b$"):
        builder.admit(message(b'{"total": 99}'))


def test_the_reason_of_a_filtered_message_names_the_encoding_of_its_body() -> None:
    small = FilterPattern({"body": {"total": {"$lt": 100}}})
    packed = message(gzip.compress(b'{"total": 1}'), content_encoding="gzip")
    with pytest.raises(Filtered, match="content encoding is gzip, which the service does not decode"):
        RequestBuilder(router_of(whole(filter=small, otherwise="discard"))).admit(packed)


def test_a_message_to_which_no_pattern_can_be_applied_is_unsendable() -> None:
    deep = b'{"total": ' + b"[" * 500 + b"]" * 500 + b"}"
    pattern = FilterPattern({"body": {"total": {"$eq": [1]}}})
    many = b'{"total": [' + b"0," * 1_000_000 + b"0]}"
    assert first_match([pattern])(message(deep)) is None
    with pytest.raises(Unsendable):
        first_match(TOTALS)(message(many))


def test_a_consumer_and_its_parts_are_the_same() -> None:
    one = whole(name="shop", timeout=7, signing_secret="whsec_" + "A" * 32, ordering="queue", prefetch=3,
                filter=TOTALS[2], otherwise="discard", rate_limit={"perSecond": 1}, reply=True)  # fmt: skip
    parts = {spec.name: spec for spec in consumers_of(one)}
    assert {name: spec.queue_name for name, spec in parts.items()} == {
        "shop.a": "orders.a", "shop.b": "orders.b", "shop.default": "orders.default",
    }  # fmt: skip
    assert all(spec.filter is None and spec.otherwise is None and not spec.routes for spec in parts.values())
    assert (parts["shop.default"].timeout, parts["shop.b"].timeout, parts["shop.a"].timeout) == (7, 3, 30)
    router = router_of(one)
    assert (router.prefetch, router.ordering, router.filter, router.otherwise) == (3, "queue", TOTALS[2], "discard")
    assert (router.rate_limit, router.signing_secret, router.reply) == (None, None, False)
    assert router == ConsumerSpec.model_validate(router.stored())
    assert [set(route) for route in router.stored()["routes"]] == [{"name", "when"}] * 2
    again = whole_of(router, parts)
    assert again == one
    assert consumers_of(again) == list(parts.values())


def test_a_route_without_its_consumer_is_left_out() -> None:
    one = whole()
    parts = {spec.name: spec for spec in consumers_of(one) if spec.name != "orders.a"}
    found = whole_of(router_of(one), parts)
    assert [isinstance(route, Route) for route in found.routes] == [False, True]
    assert [spec.name for spec in consumers_of(found)] == ["orders.b", "orders.default"]


def test_without_routes_there_is_one_consumer() -> None:
    one = ConsumerSpec(queue_name="orders", url="https://own.example/", timeout=3)
    assert (router_of(one), consumers_of(one), whole_of(one, {})) == (one, [], one)


def test_names_that_are_too_long_name_the_route() -> None:
    routes = (Route(name="a" * 64, when=TOTALS[0], url="https://a.example/"),)
    long = ConsumerSpec(queue_name="q" * 200, url="https://own.example/").model_copy(update={"routes": routes})
    with pytest.raises(Invalid) as refused:
        consumers_of(long)
    assert {field for field, _ in refused.value.fields} == {"routes.0.name", "routes.0.queueName"}
    with pytest.raises(Invalid, match=r"^url: "), placed(""):
        parsed(ConsumerSpec, {"queueName": "q", "url": ""})


def test_a_routed_copy_is_the_message_that_was_published() -> None:
    headers = {"x-tenant": "acme", "CC": ["elsewhere"], "x-death": [{"queue": "orders"}]}
    before = message(b"x", headers, expiration="5", user_id="u", correlation_id="c", timestamp=7)
    copy = routed_copy(before, "orders.a")
    assert (copy.exchange, copy.routing_key, copy.body, copy.properties.message_id) == ("", "orders.a", b"x", "m-1")
    assert (copy.properties.expiration, copy.properties.user_id, copy.properties.delivery_mode) == (None, None, 2)
    assert not {"CC", "x-death"} & set(copy.properties.headers or {})
    exchange, key, sent = original("", "orders.a", copy.properties)
    assert (exchange, key) == ("events", "order.new")
    assert (sent.headers, sent.correlation_id, sent.timestamp, sent.expiration) == (headers, "c", 7, "5")
    failed = message(headers={"workerrmq-attempts": 2, "workerrmq-queue": "orders"})
    assert attempts_charged(routed_copy(failed, "orders.a").properties.headers, "orders.a") == 2

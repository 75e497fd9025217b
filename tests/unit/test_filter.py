"""Filters: each operator, as users of MongoDB and EventBridge expect it, and what no pattern or message can do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from delivery.copies import Source, retry_copy
from delivery.filter import MOST_ELEMENTS, equal, predicate
from delivery.unsendable import Unsendable
from domain.consumer import ConsumerSpec
from domain.filter_pattern import MAX_DEPTH, MAX_PARTS, FilterPattern
from domain.message import Properties
from domain.outcome import Answer

ORDER = {
    "id": 7,
    "total": 99.5,
    "paid": True,
    "note": None,
    "customer": {"country": "DE", "tags": ["vip", "b2b"], "a.b": {"c": 1}},
    "items": [{"sku": "A-1", "qty": 1}, {"sku": "B-2", "qty": 5, "sizes": [1, 2]}],
    "matrix": [[1, 2], [3]],
}


def source(body: Any = ORDER, routing_key: str = "order.created", **properties: Any) -> Source:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Source("orders", "shop", routing_key, Properties(**properties), raw, "m-1")


def matches(pattern: dict[str, Any], message: Source | None = None) -> bool:
    return predicate(FilterPattern(pattern))(message or source())


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ({"id": 7}, True),
        ({"id": 7.0}, True),
        ({"id": "7"}, False),
        ({"paid": True}, True),
        ({"paid": 1}, False),
        ({"id": 7, "paid": False}, False),
        ({"note": None}, True),
        ({"missing": None}, True),
        ({"missing": {"$ne": None}}, False),
        ({"id": {"$ne": None}}, True),
        ({"customer": {"country": "DE"}}, True),
        ({"customer.country": "DE"}, True),
        ({"customer.country": {"$in": ["AT", "DE"]}}, True),
        ({"customer.country": {"$in": []}}, False),
        ({"customer.country": {"$nin": ["AT", "CH"]}}, True),
        ({"missing": {"$nin": ["AT"]}}, True),
        ({"missing": {"$in": [None]}}, True),
        ({"customer": {"$eq": {"country": "DE"}}}, False),
        ({"customer.tags": "vip"}, True),
        ({"customer.tags": {"$eq": ["vip", "b2b"]}}, True),
        ({"customer.tags": {"$eq": ["b2b", "vip"]}}, False),
        ({"customer.tags": {"$ne": "vip"}}, False),
        ({"customer.tags.1": "b2b"}, True),
        ({"customer.a.b": {"$eq": {"c": 1}}}, True),
        ({"items.sku": "B-2"}, True),
        ({"items.1.sku": "B-2"}, True),
        ({"items.0.sku": "B-2"}, False),
        ({"items": {"sku": "A-1", "qty": 5}}, True),
        ({"items.sku": {"$ne": "B-2"}}, False),
        ({"items.sizes": 2}, True),
        ({"matrix": {"$eq": [3]}}, True),
        ({"matrix": 3}, False),
        ({"total": {"$gt": 99, "$lt": 100}}, True),
        ({"total": {"$gte": 99.5, "$lte": 99.5}}, True),
        ({"total": {"$gt": 99.5}}, False),
        ({"total": {"$gt": "9"}}, False),
        ({"paid": {"$gte": 0}}, False),
        ({"customer.country": {"$gt": "CH"}}, True),
        ({"missing": {"$lt": 1}}, False),
        ({"items.qty": {"$gt": 4}}, True),
        ({"customer.country": {"$startsWith": "D"}}, True),
        ({"id": {"$startsWith": "7"}}, False),
        ({"note": {"$exists": True}}, True),
        ({"missing": {"$exists": False}}, True),
        ({"missing.deep": {"$exists": True}}, False),
        ({"$or": [{"id": 8}, {"total": {"$gt": 90}}]}, True),
        ({"$and": [{"id": 7}, {"paid": False}]}, False),
        ({"$nor": [{"id": 8}, {"paid": False}]}, True),
        ({"$not": {"id": 8}}, True),
        ({"total": {"$not": {"$gt": 100}}}, True),
        ({"missing": {"$not": {"$gt": 100}}}, True),
        ({"customer": {"$or": [{"country": "AT"}, {"tags": "vip"}]}}, True),
    ],
)
def test_a_pattern_for_the_body(body: dict[str, Any], result: bool) -> None:
    assert matches({"body": body}) is result


@pytest.mark.parametrize(
    ("pattern", "result"),
    [
        ({"routingKey": "order.created"}, True),
        ({"routingKey": {"$startsWith": "order."}}, True),
        ({"headers": {"x-tenant": "acme"}}, True),
        ({"headers.x-tenant": {"$in": ["acme"]}}, True),
        ({"headers": {"x.dotted": 1}}, True),
        ({"headers": {"x-none": {"$exists": False}}}, True),
        ({"properties": {"type": "order", "priority": {"$gte": 3}}}, True),
        ({"properties.contentType": "application/json"}, False),
        ({"$or": [{"routingKey": "x"}, {"headers.x-tenant": "acme"}]}, True),
        ({"body.id": 7, "routingKey": "order.created"}, True),
        ({"headers": {"x-table.inner": "deep"}}, True),
    ],
)
def test_a_pattern_for_what_amqp_says(pattern: dict[str, Any], result: bool) -> None:
    headers = {"x-tenant": "acme", "x.dotted": 1, "x-table": {"inner": b"deep"}}
    assert matches(pattern, source(headers=headers, type="order", priority=3)) is result


@pytest.mark.parametrize("body", [b"", b"no json", b"\xff\xfe", b"{", b"[" * 2000, b'{"id": 7'])
def test_a_body_that_is_not_json_matches_no_pattern_for_a_body(body: bytes) -> None:
    assert not matches({"body": {"id": 7}}, source(body))
    assert not matches({"body": {"$exists": True}}, source(body))
    assert matches({"routingKey": "order.created"}, source(body))


def test_a_retry_is_judged_as_the_message_was_published() -> None:
    first = source(headers={"x-tenant": "acme"})
    copy = retry_copy(first, "erp", Answer(503, None, "", 0.1), 5, "workerrmq.delay.2", 1_700_000_000.0)
    again = Source("orders", "", "orders", copy.properties, copy.body, "m-1")
    pattern = {"routingKey": "order.created", "headers": {"x-tenant": "acme", "workerrmq-attempts": {"$exists": False}}}
    assert matches(pattern, again)


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ({}, "at least one of body"),
        ({"bodi": {"a": 1}}, "unknown field 'bodi'. Allowed: body"),
        ({"body": {"a": {"$regex": "x"}}}, r"unknown operator \$regex. Allowed: \$eq"),
        ({"body": {"a": {"$gt": 1, "b": 2}}}, "mixes operators and field names in 'a'"),
        ({"body": {"a": ["x"]}}, r"array for 'a'; write \{\"\$in\""),
        ({"body": {"a": {}}}, "empty object"),
        ({"$exists": True}, r"\$exists without a field"),
        ({"body": {"a": {"$in": "x"}}}, r"needs an array for \$in"),
        ({"body": {"a": {"$gt": True}}}, r"needs a number or a string for \$gt"),
        ({"body": {"a": {"$gt": None}}}, r"needs a number or a string for \$gt"),
        ({"body": {"a": {"$startsWith": 1}}}, r"needs a string for \$startsWith"),
        ({"body": {"a": {"$exists": 1}}}, r"needs true or false for \$exists"),
        ({"$or": []}, r"list of non-empty patterns for \$or"),
        ({"$and": [{}]}, r"list of non-empty patterns for \$and"),
        ({"$not": []}, r"needs a non-empty pattern for \$not"),
        ({"body": {"a": {"$in": [2**64]}}}, "more than 64 bits"),
        ({"body": {"a": float("inf")}}, "not finite"),
        ({"body": {"a..b": 1}}, "single dots"),
        ({"body": {".".join("a" * 40): 1}}, "path of more than"),
        ({"body": {"a": "x" * 2000}}, "more than 1024 characters"),
        ({"body": {"a": {"$in": list(range(MAX_PARTS + 1))}}}, f"at most {MAX_PARTS}"),
    ],
)
def test_an_invalid_pattern_is_refused_with_a_reason(pattern: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        ConsumerSpec(queue_name="q", url="http://t.example/", filter=pattern, otherwise="discard")


@pytest.mark.parametrize("around", [lambda inner: {"$not": inner}, lambda inner: {"$and": [inner]}])
@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 10_000])
def test_a_pattern_that_is_too_deep_is_refused_however_deep_it_is(around: Any, levels: int) -> None:
    pattern: dict[str, Any] = {"routingKey": "a"}
    for _ in range(levels):
        pattern = around(pattern)
    with pytest.raises(ValueError, match=f"at most {MAX_DEPTH} levels"):
        FilterPattern(pattern)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"filter": {"routingKey": "a"}}, "is required with filter"),
        ({"otherwise": "discard"}, "needs filter"),
        ({"filter": {"routingKey": "a"}, "otherwise": "drop"}, "must be 'deadLetter', 'discard' or"),
        ({"filter": {"routingKey": "a"}, "otherwise": {"forward": {"exchange": "x"}}}, "routingKey: is required"),
        ({"filter": {"routingKey": "a"}, "otherwise": {"forward": {"routingKey": "q"}}}, "own queue"),
        ({"filter": {"routingKey": "a"}, "otherwise": {"forward": {"routingKey": ""}}}, "must be the name of a queue"),
        ({"filter": {"routingKey": "a"}, "otherwise": {"forward": {"routingKey": "workerrmq.due"}}}, "workerrmq\\."),
        ({"filter": {"routingKey": "a"}, "otherwise": {"forward": {"exchange": "workerrmq.due", "routingKey": "a"}}},
         "workerrmq\\."),
    ],
)  # fmt: skip
def test_filter_and_otherwise_go_together(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        ConsumerSpec(queue_name="q", url="http://t.example/", **fields)


def test_a_message_that_would_cost_too_much_is_unsendable_and_not_filtered() -> None:
    large = source(b"[" + b",".join([b"0"] * (MOST_ELEMENTS // 2 + 1)) + b"]")
    assert matches({"body": {"$not": {"$eq": 1}}}, large)
    with pytest.raises(Unsendable, match="array elements"):
        matches({"body": {"$not": {"$in": [1, 2]}, "$ne": 2}}, large)


# --- properties ------------------------------------------------------------------------------------------------------

names = st.sampled_from(["a", "b", "c", "0", "1"])
scalars = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, 1.0]), st.sampled_from("ab"))
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
)
tests = st.one_of(
    json_values.map(lambda value: {"$eq": value}),
    json_values.map(lambda value: {"$ne": value}),
    st.lists(json_values, max_size=3).map(lambda value: {"$in": value}),
    st.lists(json_values, max_size=3).map(lambda value: {"$nin": value}),
    st.tuples(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), st.integers(-2, 2) | st.sampled_from("ab")).map(
        lambda pair: {pair[0]: pair[1]}
    ),
    st.sampled_from("ab").map(lambda text: {"$startsWith": text}),
    st.booleans().map(lambda yes: {"$exists": yes}),
)
paths = st.lists(names, min_size=1, max_size=3).map(".".join)
leaves = st.dictionaries(paths, tests, min_size=1, max_size=3)
patterns = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"$or": parts}),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"$and": parts}),
        inner.map(lambda part: {"$not": part}),
        st.tuples(names, inner).map(lambda pair: {pair[0]: pair[1]}),
    ),
    max_leaves=3,
)


@given(patterns, json_values)
def test_a_negation_is_the_opposite_whatever_the_pattern_and_the_message(pattern: Any, body: Any) -> None:
    message = source(body)
    result = matches({"body": pattern}, message)
    assert matches({"$not": {"body": pattern}}, message) is not result
    assert matches({"$nor": [{"body": pattern}]}, message) is not result
    assert matches({"$and": [{"body": pattern}, {"body": pattern}]}, message) is result


@given(leaves, leaves, json_values)
def test_de_morgan_holds(one: Any, other: Any, body: Any) -> None:
    message = source(body)
    both = matches({"$and": [{"body": one}, {"body": other}]}, message)
    neither = {"$or": [{"body": {"$not": one}}, {"body": {"$not": other}}]}
    assert matches({"$not": neither}, message) is both
    assert both is (matches({"body": one}, message) and matches({"body": other}, message))


@given(st.lists(names, min_size=1, max_size=3), tests, json_values)
def test_a_dotted_path_is_the_same_as_nested_objects(path: list[str], test: Any, body: Any) -> None:
    nested = test
    for name in reversed(path):
        nested = {name: nested}
    dotted = {"body": {".".join(path): test}}
    assert matches(dotted, source(body)) is matches({"body": nested}, source(body))


@given(json_values)
def test_every_value_equals_itself_and_is_found_as_a_member(value: Any) -> None:
    message = source({"v": value})
    assert matches({"body": {"v": {"$eq": value}}}, message)
    assert matches({"body": {"v": {"$in": ["no", value]}}}, message)
    assert not matches({"body": {"v": {"$ne": value}}}, message)


@given(json_values, json_values)
def test_equal_is_equality_of_json(one: Any, other: Any) -> None:
    def canonical(value: Any) -> str:
        if isinstance(value, list):
            return f"[{','.join(map(canonical, value))}]"
        if isinstance(value, dict):
            return "object" + str(sorted((name, canonical(item)) for name, item in value.items()))
        return repr(float(value)) if isinstance(value, int) and not isinstance(value, bool) else json.dumps(value)

    assert equal(one, other) is (canonical(one) == canonical(other))


@given(st.integers(-5, 5), st.integers(-5, 5))
def test_comparisons_are_those_of_numbers(value: int, bound: int) -> None:
    message = source({"n": value})
    found = {name: matches({"body": {"n": {name: bound}}}, message) for name in ("$gt", "$gte", "$lt", "$lte")}
    assert found == {"$gt": value > bound, "$gte": value >= bound, "$lt": value < bound, "$lte": value <= bound}


@given(patterns, st.binary(max_size=30))
def test_no_body_makes_a_filter_fail(pattern: Any, body: bytes) -> None:
    matches({"body": pattern}, source(body))


@given(st.recursive(json_values, lambda inner: st.dictionaries(st.text(max_size=8) | st.sampled_from(
    ["body", "$or", "$not", "$in", "$eq", "headers.x"]), inner, max_size=3)))  # fmt: skip
def test_any_object_is_a_pattern_or_is_refused(pattern: Any) -> None:
    assume(isinstance(pattern, dict))
    try:
        found = FilterPattern(pattern)
    except ValueError:
        return
    predicate(found)(source())
    assert dict(found) == pattern

"""Copies for the delay levels and the dead-letter queue, and the way back to what the publisher sent."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.copies import (
    ATTEMPTS,
    DEAD_LETTERED,
    QUEUE,
    REPLAYED_AT,
    Source,
    attempts_charged,
    level_header,
    original,
    retry_copy,
    returned_copy,
    wants_reply,
)
from delivery.dead_letters import dead_letter, moved, replayed
from domain.consumer import ConsumerSpec
from domain.message import Message, Properties
from domain.outcome import Answer, ErrorClass

ENTRANCE = "workerrmq.delay.2"
FAILED = Answer(503, None, "", 0.1)
ERP = ConsumerSpec(queue_name="orders", name="erp", url="http://t.example/")
DEATH = [{"queue": "elsewhere", "reason": "rejected", "count": 3}]

short = st.text(max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | short | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(short, inner, max_size=3),
    max_leaves=6,
)
names = st.one_of(
    short.filter(lambda name: not name.startswith("workerrmq-")),
    st.sampled_from(["x-death", "x-first-death-queue", "x-delivery-count", "CC", "BCC", "x-delay"]),
    st.binary(max_size=10),  # what a driver makes of a name that is not UTF-8
)


def with_lists_of_keys(headers: dict[Any, Any]) -> dict[Any, Any]:
    """Return headers that RabbitMQ accepts: it refuses a CC or BCC that is no list."""
    return {name: [value] if name in ("CC", "BCC") else value for name, value in headers.items()}


properties = st.builds(
    Properties,
    content_type=st.none() | short,
    headers=st.none() | st.dictionaries(names, values, min_size=1, max_size=5).map(with_lists_of_keys),
    delivery_mode=st.sampled_from([None, 1, 2]),
    priority=st.none() | st.integers(0, 255),
    correlation_id=st.none() | short,
    reply_to=st.none() | short,
    expiration=st.none() | st.integers(0, 10**9).map(str),
    message_id=short.filter(bool),
    timestamp=st.none() | st.integers(0, 2**40),
    type=st.none() | short,
    user_id=st.none() | short,
    app_id=st.none() | short,
    cluster_id=st.none() | short,
)


def source(sent: Properties, exchange: str = "shop", routing_key: str = "order.created") -> Source:
    return Source("orders", exchange, routing_key, sent, b"{}", sent.message_id or "made")


def retried(one: Source, answer: Answer = FAILED, now: float = 1e9) -> Message:
    return retry_copy(one, "erp", answer, 5, ENTRANCE, now)


def returned(copy: Message) -> Source:
    """How the copy arrives once the delay levels have let it go, with what RabbitMQ adds on the way."""
    on_the_way = {"x-death": [{"queue": "workerrmq.delay.2", "reason": "expired"}], "x-first-death-reason": "expired",
                  "x-delivery-count": 1}  # fmt: skip
    seen = replace(copy.properties, headers={**(copy.properties.headers or {}), **on_the_way})
    return Source("orders", "workerrmq.due", "orders", seen, copy.body, copy.properties.message_id or "")


@given(properties, short, short, st.integers(1, 4))
def test_however_often_it_is_tried_the_message_is_what_the_publisher_sent(
    sent: Properties, exchange: str, routing_key: str, times: int
) -> None:
    one = source(sent, exchange, routing_key)
    for charged in range(1, times + 1):
        one = returned(retried(one))
        assert attempts_charged(one.properties.headers, "orders") == charged
    assert original(one.exchange, one.routing_key, one.properties) == (exchange, routing_key, sent)
    assert (one.body, one.message_id) == (b"{}", sent.message_id)


@given(properties, st.integers(0, 2), st.integers(1, 3))
def test_a_message_that_is_put_back_as_a_copy_is_what_the_publisher_sent_and_charged_no_more(
    sent: Properties, charged: int, times: int
) -> None:
    one = source(sent)
    for _ in range(charged):
        one = returned(retried(one))
    for _ in range(times):
        copy = returned_copy(one)
        assert (copy.exchange, copy.routing_key) == ("", "orders")
        one = returned(copy)
    assert attempts_charged(one.properties.headers, "orders") == charged
    assert original(one.exchange, one.routing_key, one.properties) == ("shop", "order.created", sent)


@given(properties, st.booleans())
def test_a_dead_letter_holds_what_the_publisher_sent(sent: Properties, after_a_retry: bool) -> None:
    one = returned(retried(source(sent))) if after_a_retry else source(sent)
    letter = dead_letter(one, ERP, FAILED, "exhausted", ("", "orders.dlq"), 1e9)
    assert (letter.exchange, letter.routing_key, letter.body) == ("", "orders.dlq", b"{}")
    assert original("dlx", "orders.dlq", letter.properties) == ("shop", "order.created", sent)


def test_nothing_on_a_copy_makes_the_broker_act_on_it() -> None:
    acting = Properties(
        headers={"x-death": DEATH, "CC": ["other"], "BCC": ["another"], "x-delivery-count": 7, "mine": 1},
        expiration="10", user_id="shop", cluster_id="c", delivery_mode=1, priority=9, message_id="m",
    )  # fmt: skip
    for copy in (retried(source(acting)), dead_letter(source(acting), ERP, FAILED, "rejected", ("dlx", "k"), 1e9)):
        on_wire = copy.properties
        assert (on_wire.expiration, on_wire.user_id, on_wire.cluster_id) == (None, None, None)
        assert on_wire.delivery_mode == 2
        assert not {"x-death", "CC", "BCC", "x-delivery-count"} & set(on_wire.headers or {})
        assert (on_wire.headers or {})["mine"] == 1


@pytest.mark.parametrize("header", ["CC", "BCC", "x-death"])
@pytest.mark.parametrize("written_by", ["its publisher", "whoever forged the history"])
def test_a_replayed_message_goes_to_its_queue_and_to_no_other(header: str, written_by: str) -> None:
    sent = Properties(headers={header: ["payroll"], "mine": 1}, message_id="m")
    letter = dead_letter(source(sent), ERP, FAILED, "rejected", ("", "orders.dlq"), 1e9).properties
    if written_by != "its publisher":
        forged = {ATTEMPTS: 1, QUEUE: "orders", "workerrmq-set-aside": {header: ["payroll"]}, "mine": 1}
        letter = replace(letter, headers=forged)
    back = replayed(letter, b"{}", "orders", 1e9)
    assert (back.exchange, back.routing_key) == ("", "orders")
    assert back.properties.headers == {"mine": 1, REPLAYED_AT: "2001-09-09T01:46:40.000+00:00"}


def test_no_publisher_adds_levels_to_the_delay_of_a_retry() -> None:
    forged = {level_header(level): True for level in range(29)}
    copy = retried(source(Properties(headers={**forged, "mine": 1}, message_id="m")))
    marks = {name for name, value in (copy.properties.headers or {}).items() if value is True}
    assert marks == {level_header(2), level_header(0)}  # 5 s are 4 and 1
    assert (copy.properties.headers or {})["mine"] == 1


@pytest.mark.parametrize(("reply_to", "wanted"), [("answers", True), (b"\xff", True), (None, False), ("", False),
                                                  ("workerrmq.delay.28", False), ("workerrmq.due", False)])  # fmt: skip
def test_no_answer_goes_into_a_queue_of_the_services_own(reply_to: Any, wanted: bool) -> None:
    assert wants_reply(source(Properties(reply_to=reply_to, message_id="m"))) is wanted


def test_a_retry_goes_to_the_rung_of_its_delay_and_back_to_its_queue() -> None:
    copy = retried(source(Properties(message_id="m")))
    assert (copy.exchange, copy.routing_key) == (ENTRANCE, "orders")
    marks = {name for name, value in (copy.properties.headers or {}).items() if value is True}
    assert marks == {level_header(2), level_header(0)}  # 5 s are 4 and 1


def test_a_dead_letter_says_who_why_when_and_how_often() -> None:
    first = returned(retried(source(Properties(message_id="m")), Answer(None, ErrorClass.TIMEOUT, "30 s", 30), 1e9))
    letter = dead_letter(first, ERP, FAILED, "exhausted", ("", "orders.dlq"), 1e9 + 60)
    headers = dict(letter.properties.headers or {})
    assert headers == {
        ATTEMPTS: 2,
        DEAD_LETTERED: 1,
        "workerrmq-queue": "orders",
        "workerrmq-exchange": "shop",
        "workerrmq-routing-key": "order.created",
        "workerrmq-consumer": "erp",
        "workerrmq-reason": "HTTP 503",
        "workerrmq-status": 503,
        "workerrmq-outcome": "exhausted",
        "workerrmq-first-failed-at": "2001-09-09T01:46:40.000+00:00",
        "workerrmq-last-failed-at": "2001-09-09T01:47:40.000+00:00",
        "workerrmq-set-aside": {"delivery_mode": 2},
    }


def test_a_dead_letter_without_a_status_names_the_class_of_the_error() -> None:
    letter = dead_letter(
        source(Properties(message_id="m")), ERP, Answer(None, ErrorClass.DNS, "no such host", 0), "exhausted",
        ("", "q"), 1e9,
    )  # fmt: skip
    headers = letter.properties.headers or {}
    assert headers["workerrmq-error"] == "dns"
    assert headers["workerrmq-reason"] == "dns: no such host"
    assert "workerrmq-status" not in headers


@pytest.mark.parametrize("retries", [0, 1])
def test_a_dead_letter_without_a_key_of_its_queue_keeps_the_messages_own(retries: int) -> None:
    one = source(Properties(message_id="m"))
    for _ in range(retries):
        one = returned(retried(one))
    assert dead_letter(one, ERP, FAILED, "rejected", ("dlx", None), 1e9).routing_key == "order.created"


@pytest.mark.parametrize("nonsense", ["7", -1, 1.5, None, [], {"a": 1}, b"\xff"])
def test_nonsense_where_attempts_are_counted_counts_as_none(nonsense: Any) -> None:
    assert attempts_charged({ATTEMPTS: nonsense, QUEUE: "orders"}, "orders") == 0


@given(
    st.dictionaries(
        st.sampled_from([ATTEMPTS, level_header(3), *(f"workerrmq-{name}" for name in (
            "set-aside", "exchange", "routing-key", "first-failed-at", "queue"))]),
        values,
    )
)  # fmt: skip
def test_headers_that_a_publisher_writes_in_our_name_do_not_stop_a_copy(forged: dict[str, Any]) -> None:
    one = source(Properties(message_id="m", headers=forged))
    for copy in (retried(one), dead_letter(one, ERP, FAILED, "rejected", ("dlx", None), 1e9)):
        assert isinstance(copy.routing_key, str)
        assert copy.body == b"{}"
        asdict(copy.properties)


@pytest.mark.parametrize(("queue", "shown"), [("orders", 0), ("payroll", 1)])
def test_a_moved_dead_letter_has_all_attempts_again_in_any_queue(queue: str, shown: int) -> None:
    letter = dead_letter(source(Properties()), ERP, FAILED, "exhausted", ("", "orders.dlq"), 1e9)
    came = Source("orders.dlq", "", "orders.dlq", letter.properties, letter.body, "made")
    headers = moved(came, queue).properties.headers
    assert attempts_charged(headers, queue) == 0
    assert (headers or {})[ATTEMPTS] == shown, "a queue for inspection shows the attempts"

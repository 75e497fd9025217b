"""Scheduled messages: the copy that waits, and the way back to what its publisher sent."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delivery.copies import SCHEDULED_FOR, known_since, passed, retry_copy
from delivery.delays import levels, longest_wait
from delivery.scheduled import as_published, due_at, enter, level_header, seconds_in_levels, waiting
from domain.message import Message, Properties
from domain.outcome import Answer
from domain.publication import LONGEST_DELAY
from tests.unit.test_delivery_copies import properties, returned, short, source

DUE = 1_000_000_000.5


def through_the_levels(copy: Message) -> Message:
    """The copy as a worker takes it, with what RabbitMQ adds on the way."""
    on_the_way = {"x-death": [{"queue": "workerrmq.scheduled.2"}], "x-last-death-reason": "expired"}
    seen = replace(copy.properties, headers={**(copy.properties.headers or {}), **on_the_way})
    return passed(copy.routing_key, seen, copy.body)


@settings(suppress_health_check=[HealthCheck.too_slow])  # the first example takes long on a busy machine
@given(properties, st.sampled_from(["", "shop"]), short, st.integers(1, LONGEST_DELAY))
def test_a_message_comes_out_as_its_publisher_sent_it(
    sent: Properties, exchange: str, routing_key: str, delay: int
) -> None:
    message = Message(routing_key, b"{}", exchange, replace(sent, timestamp=None))
    copy = enter(waiting(message, DUE), delay, "workerrmq.delay.28")
    arrived = through_the_levels(copy)
    assert due_at(arrived) == DUE
    assert as_published(arrived, DUE, 1e9) == replace(message, properties=replace(sent, timestamp=10**9, user_id=None))


def test_nothing_on_the_copy_makes_the_broker_act_on_it_and_it_enters_the_levels_of_its_delay() -> None:
    sent = Properties(expiration="10", delivery_mode=1, priority=9, headers={"x-tenant": "acme"})
    copy = enter(waiting(Message("orders", b"", properties=sent), DUE), 5, "workerrmq.delay.2")
    assert (copy.properties.expiration, copy.properties.delivery_mode, copy.properties.priority) == (None, 2, None)
    marks = {name for name, value in (copy.properties.headers or {}).items() if value is True}
    assert marks == {level_header(2), level_header(0)}
    assert (copy.exchange, copy.routing_key) == ("workerrmq.delay.2", "orders")


def test_a_retry_is_no_scheduled_message_whatever_its_publisher_wrote() -> None:
    forged = source(Properties(headers={"workerrmq-due-at": "2100-01-01T00:00:00+00:00"}, message_id="m"))
    retry = returned(retry_copy(forged, "erp", Answer(503, None, "", 0.1), 5, "workerrmq.delay.2", 1e9))
    assert due_at(passed("orders", retry.properties, b"")) is None
    assert due_at(passed("orders", Properties(headers={"workerrmq-attempts": 0, "workerrmq-due-at": 7}), b"")) is None


def test_a_priority_is_set_aside_in_the_levels_and_counts_again_in_the_queue() -> None:
    retry = retry_copy(source(Properties(priority=9)), "erp", Answer(503, None, "", 0.1), 5, "workerrmq.delay.2", 1e9)
    assert retry.properties.priority is None
    assert returned(retry).properties.priority is None


@pytest.mark.parametrize(
    ("due", "now", "seconds"), [(10, 10, 0), (10, 11, 0), (10.9, 10, 0), (11, 10, 1), (11.5, 10, 1)]
)
def test_less_than_a_second_is_left_after_the_levels(due: float, now: float, seconds: int) -> None:
    assert seconds_in_levels(due, now) == seconds


@given(st.floats(1e9, 5e9))
def test_the_time_that_a_copy_bears_is_not_before_its_time(due: float) -> None:
    at = due_at(through_the_levels(waiting(Message("orders", b"", properties=Properties(message_id="m")), due)))
    assert at is not None
    assert due <= at < due + 0.0011


@given(st.integers(1, LONGEST_DELAY))
def test_a_message_is_never_further_from_its_time_than_its_level_tells(delay: int) -> None:
    passing = levels(delay)
    for at, level in enumerate(passing):
        assert sum(1 << below for below in passing[at:]) <= longest_wait(level)


@pytest.mark.parametrize("header", [SCHEDULED_FOR, "x-replayed-at"])
def test_the_age_of_a_message_counts_from_when_it_came_into_its_queue(header: str) -> None:
    sent = Properties(timestamp=1_000, headers={header: "2001-09-09T01:46:40.000+00:00"})
    assert known_since(sent, 1e9 + 5) == 1e9
    assert known_since(replace(sent, headers={header: "nonsense"}), 1e9 + 5) == 1_000


def test_a_publishers_timestamp_is_kept_and_a_header_has_the_scheduled_time() -> None:
    arrived = through_the_levels(waiting(Message("orders", b"", properties=Properties(timestamp=5)), DUE))
    message = as_published(arrived, DUE, DUE + 1)
    assert message.properties.timestamp == 5
    assert known_since(message.properties, DUE + 1) == DUE

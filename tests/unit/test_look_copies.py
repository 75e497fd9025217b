"""The copy that takes a message's place when a look at it would use up a delivery limit."""

from __future__ import annotations

import pytest

from delivery.copies import Source, came_by, original
from delivery.delivery_limit import look_wears_out
from delivery.look_copies import look_copy, look_exchange, needs_exchange
from domain.message import Properties

HEADERS = {"x-death": [{"queue": "a", "count": 3}], "workerrmq-attempts": 4, "workerrmq-queue": "orders", "x-a": 1}


def source(exchange: str = "", routing_key: str = "q", **properties: object) -> Source:
    return Source("q", exchange, routing_key, Properties(**properties), b"body", "id")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limit", "returned", "worn"),
    [(None, 1000, False), (20, 17, False), (20, 18, True), (3, 0, False), (3, 1, True), (2, 0, True), (0, 0, True)],
)
def test_a_copy_is_due_while_two_returns_are_left(limit: int | None, returned: int, worn: bool) -> None:
    assert look_wears_out({"x-delivery-count": returned}, limit) is worn


def test_a_copy_is_the_message_without_the_brokers_counts() -> None:
    given = {"message_id": "m", "expiration": "9", "delivery_mode": 1, "user_id": "us", "priority": 2}
    looked_at = source(headers=HEADERS | {"x-delivery-count": 18, "x-acquired-count": 19}, **given)
    copy = look_copy(looked_at, "", "us")
    assert copy.properties == Properties(headers=HEADERS, **given)  # type: ignore[arg-type]
    assert (copy.exchange, copy.routing_key, copy.body) == ("", "q", b"body")
    assert look_copy(source(headers={"x-delivery-count": 18}), "", "us").properties.headers is None


def test_a_user_id_that_rabbitmq_would_refuse_is_set_aside_and_found_again() -> None:
    copy = look_copy(source("events", "order.new", user_id="them"), "", "us")
    assert copy.properties.user_id is None
    exchange, routing_key, sent = original(copy.exchange, copy.routing_key, copy.properties)
    assert (exchange, routing_key, sent.user_id) == ("events", "order.new", "them")


def test_an_exchange_of_ours_keeps_the_routing_key_and_tells_the_exchange() -> None:
    assert not needs_exchange(source())
    assert needs_exchange(source("events"))
    assert needs_exchange(source(routing_key="other"))
    assert needs_exchange(source(headers={"CC": ["other"]}))
    assert came_by(look_exchange("a1", "my.events")) == "my.events"
    assert original(look_exchange("a1", "events"), "key", Properties())[:2] == ("events", "key")
    assert (came_by("events"), came_by("")) == ("events", "")
    assert len(look_exchange("a1", "ü" * 127).encode()) <= 255

"""The name of the queue that a consumer of an exchange gets."""

from __future__ import annotations

import pytest

from domain.exchange_queue import queue_name
from domain.names import MAX_BYTES
from domain.queue import QueueSpec
from domain.url_template import UrlTemplate

URL = UrlTemplate("https://shop:secret@erp.example/orders?token=secret")


def test_the_name_is_documented_and_stays_for_good() -> None:
    assert queue_name("events", "order.*", "", URL) == "events.erp.example.68af23d0"
    assert queue_name("events", "order.*", "orders-erp", URL) == "events.orders-erp.63c3f178"


def test_each_exchange_routing_key_and_target_has_a_queue_of_its_own() -> None:
    names = {
        queue_name(exchange, key, consumer, UrlTemplate(url))
        for exchange in ("a", "a.b")
        for key in ("b.c", "c")
        for consumer, url in [("", "https://h/1"), ("", "https://h/2"), ("", "http://h/1"), ("n", "https://h/1")]
    }
    assert len(names) == 16


def test_user_and_query_of_a_url_which_may_be_secrets_do_not_show_in_the_name() -> None:
    bare = queue_name("events", "", "", UrlTemplate("https://erp.example/orders"))
    assert queue_name("events", "", "", URL) == bare


def test_a_consumers_name_stays_its_queue_when_its_url_changes() -> None:
    assert queue_name("e", "", "n", URL) == queue_name("e", "", "n", UrlTemplate("http://other/"))


@pytest.mark.parametrize("exchange", ["amq.topic", "x" * 255, "ä" * 127])
def test_rabbitmq_takes_the_name_whatever_the_exchange_is_called(exchange: str) -> None:
    name = queue_name(exchange, "k" * 255, "", URL)
    assert len(name.encode()) <= MAX_BYTES
    assert QueueSpec(queue_name=name).queue_name == name

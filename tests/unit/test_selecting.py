"""Filtering, sorting and paging of lists that come whole."""

from __future__ import annotations

import pytest

from domain.details import BindingDetails
from domain.errors import Invalid
from domain.selection import Selection
from services.selecting import selected


def binding(exchange: str, queue_name: str | None, routing_key: str = "") -> BindingDetails:
    return BindingDetails(
        exchange=exchange, queue_name=queue_name, destination_exchange=None, routing_key=routing_key, arguments={}
    )


BINDINGS = [binding("b", "Orders"), binding("a", None), binding("B", "bills", "orders.new")]


def exchanges(wanted: Selection) -> list[str]:
    page = selected(BINDINGS, wanted, lambda one: (one.exchange, one.queue_name, one.routing_key))
    return [one.exchange for one in page.items]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Selection(), ["b", "a", "B"]),
        (Selection(pattern="ORDERS"), ["b", "B"]),
        (Selection(pattern="."), ["B"]),
        (Selection(pattern="^o.*s$", regex=True), ["b"]),
        (Selection(sort="queueName"), ["a", "B", "b"]),
        (Selection(sort="queueName", descending=True), ["b", "B", "a"]),
        (Selection(number=2, size=2), ["B"]),
        (Selection(number=3, size=2), []),
    ],
)
def test_a_list_is_filtered_by_any_name_sorted_in_any_case_and_cut(wanted: Selection, found: list[str]) -> None:
    assert exchanges(wanted) == found


def test_the_total_counts_what_fits() -> None:
    assert selected(BINDINGS, Selection(size=1, pattern="orders"), lambda one: (one.queue_name,)).total == 1


def test_a_search_that_takes_too_long_is_given_up() -> None:
    many = [binding("x" * 255, None)] * 2000
    with pytest.raises(Invalid, match="took too long"):
        selected(many, Selection(pattern="(x?){500}x{500}y", regex=True), lambda one: (one.exchange,))

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


@pytest.mark.parametrize(
    "pattern", ["(", "(?!x)", "(((x{99}){99}){99}){9}", "x{1001}", "(x{100}){100}" * 50, r"\p{L}{500}" * 50, "\ud800"]
)
def test_a_regular_expression_that_is_wrong_or_too_large_is_refused(pattern: str) -> None:
    with pytest.raises(Invalid, match="must be a regular expression in RE2 syntax"):
        selected(BINDINGS, Selection(pattern=pattern, regex=True), lambda one: (one.exchange,))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("pattern", ["^(x|xx)+$", "(x+x+)+y", "(.*)*$y"])
def test_a_regular_expression_that_would_backtrack_searches_in_linear_time(pattern: str) -> None:
    long = [binding("x" * 5000 + "!", None) for _ in range(3)]
    assert selected(long, Selection(pattern=pattern, regex=True), lambda one: (one.exchange,)).total == 0

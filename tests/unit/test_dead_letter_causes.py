"""The cause of a dead letter, by its headers, which anybody may forge."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from domain.dead_letter import cause_of, died_at

REJECTED = {
    "workerrmq-outcome": "rejected",
    "workerrmq-queue": "orders",
    "workerrmq-consumer": "erp",
    "workerrmq-status": 422,
    "workerrmq-reason": "HTTP 422",
    "workerrmq-answer": "Invoice 17 is unknown",
}


@pytest.mark.parametrize(
    "same",
    [
        {"workerrmq-answer": "Invoice 18 is unknown"},
        {"workerrmq-answer": "Invoice 1b4e28ba-2fa1-11d2-883f-0016d3cca427 is unknown"},
        {"workerrmq-attempts": 3, "x-tenant": "acme"},
    ],
)
def test_causes_that_differ_only_in_numbers_are_one_group(same: dict[str, Any]) -> None:
    assert cause_of(REJECTED | same).group == cause_of(REJECTED).group


@pytest.mark.parametrize(
    "other",
    [
        {"workerrmq-answer": "Invoice 17 is closed"},
        {"workerrmq-status": 400},
        {"workerrmq-consumer": "crm"},
        {"workerrmq-queue": "bills"},
        {"workerrmq-outcome": "exhausted"},
        {"workerrmq-error": "timeout"},
        {"workerrmq-reason": "timeout: no answer within 30 s"},
    ],
)
def test_other_causes_are_another_group(other: dict[str, Any]) -> None:
    assert cause_of(REJECTED | other).group != cause_of(REJECTED).group


@pytest.mark.parametrize("value", [None, b"\xff", ["x"], {"a": 1}, 2**63 - 1, 1.5, True, "", "\ud800"])
def test_no_header_of_any_type_stops_a_look(value: Any) -> None:
    names = [*REJECTED, "workerrmq-error", "workerrmq-last-failed-at", "x-death"]
    for name in names:
        headers = {**REJECTED, name: value}
        assert len(cause_of(headers).group) == 12
        died_at(headers)
    cause = cause_of(dict.fromkeys(names, value))
    assert (len(cause.group), cause.status) == (12, None)


def test_the_brokers_own_dead_letters_say_where_they_died_and_when() -> None:
    # pika reads times without a zone
    death = {
        "reason": "expired",
        "queue": "orders",
        "time": datetime(2026, 11, 29, 12, tzinfo=UTC).replace(tzinfo=None),
    }
    cause = cause_of({"x-death": [death, {"reason": "rejected"}]})
    assert (cause.outcome, cause.queue, cause.consumer) == ("expired", "orders", None)
    assert died_at({"x-death": [death]}) == datetime(2026, 11, 29, 12, tzinfo=UTC)

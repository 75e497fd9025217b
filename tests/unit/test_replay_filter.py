"""Which dead letters a replay is for. Their headers may be anybody's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from domain.replay import DeadLetterFilter, fits

MOMENT = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("failed_at", "later"),
    [
        ("2026-11-29T12:00:00.000+00:00", True),
        ("2026-11-29T14:00:00+01:00", True),
        ("2026-11-29T11:59:59.999+00:00", False),
        ("2026-11-29T12:00:00", False),  # without a zone: not as we write it
        ("2026-11-29", False),
        ("soon", False),
        (b"\xff", False),
        (17, False),
        (MOMENT.replace(hour=13), False),
        (["2026-11-29T12:00:00+00:00"], False),
        (None, False),
    ],
)
def test_a_dead_letter_failed_since_or_until_a_time_whatever_its_header_holds(failed_at: Any, later: bool) -> None:
    headers = {"workerrmq-last-failed-at": failed_at}
    assert fits(DeadLetterFilter(since=MOMENT), headers, "m") is later
    assert fits(DeadLetterFilter(until=MOMENT), headers, "m") is not later


@pytest.mark.parametrize("value", [None, b"\xff", ["x"], {"a": 1}, 2**63 - 1, 1.5])
def test_no_header_of_any_type_stops_a_filter(value: Any) -> None:
    names = ("workerrmq-status", "workerrmq-error", "x-tenant")
    wanted = DeadLetterFilter(status=(500,), error=("timeout",), headers={"x-tenant": "acme"})
    assert not fits(wanted, dict.fromkeys(names, value), "m")

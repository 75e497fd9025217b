"""When a consumer rests, and when it is suspended."""

from __future__ import annotations

from delivery.rest import SUSPEND_AFTER, Rest


def test_rests_grow_until_the_tenth_answer_in_a_row_suspends() -> None:
    rest = Rest()
    rests = [rest.suspend_class(404) for _ in range(SUSPEND_AFTER)]
    *before, last = rests
    assert last is None
    assert [one for one in before if one is None] == []
    assert before == sorted(before, key=lambda seconds: seconds or 0)
    assert 0 < (before[0] or 0) <= 1
    assert max(seconds or 0 for seconds in before) <= 10


def test_any_other_answer_starts_the_count_anew() -> None:
    rest = Rest()
    for _ in range(SUSPEND_AFTER - 1):
        assert rest.suspend_class(401) is not None
    rest.clear()
    for _ in range(SUSPEND_AFTER - 1):
        assert rest.suspend_class(401) is not None
    assert rest.suspend_class(401) is None


def test_gone_suspends_at_once() -> None:
    assert Rest().suspend_class(410) is None


def test_an_answer_without_a_status_counts_too() -> None:
    rest = Rest()
    assert [rest.suspend_class(None) for _ in range(SUSPEND_AFTER)][-1] is None

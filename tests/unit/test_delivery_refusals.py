"""When a refusal is about one message, when about the consumer, and when a consumer rests or is suspended."""

from __future__ import annotations

from delivery.refusals import SUSPEND_AFTER, Refusals

RECENT = 60.0


def test_rests_grow_with_each_refusal_in_a_row() -> None:
    refusals, rests = Refusals(RECENT), []
    for now in range(SUSPEND_AFTER):
        assert not refusals.refusal(now)
        rests.append(refusals.rest)
    assert rests == sorted(rests)
    assert 0 < rests[0] <= 1
    assert rests[-1] <= 10
    assert refusals.row == SUSPEND_AFTER


def test_any_other_answer_resets_the_count_of_refusals() -> None:
    refusals = Refusals(RECENT)
    for now in range(SUSPEND_AFTER - 1):
        refusals.refusal(now)
    refusals.failure()
    refusals.refusal(20)
    assert refusals.row == 1
    refusals.success(21)
    assert refusals.row == 0


def test_others_succeed_while_one_of_the_last_ten_answers_was_a_recent_success() -> None:
    refusals = Refusals(RECENT)
    assert not refusals.refusal(0)
    refusals.success(1)
    assert [refusals.refusal(2) for _ in range(SUSPEND_AFTER)] == [True] * SUSPEND_AFTER
    assert not refusals.refusal(2)


def test_failures_count_among_the_last_ten_answers() -> None:
    refusals = Refusals(RECENT)
    refusals.success(0)
    for _ in range(SUSPEND_AFTER):
        refusals.failure()
    assert not refusals.refusal(1)


def test_a_success_of_long_ago_says_nothing() -> None:
    refusals = Refusals(RECENT)
    refusals.success(0)
    assert refusals.refusal(RECENT)
    assert not refusals.refusal(RECENT + 1)


def test_rests_grow_with_each_failure_of_the_service_in_a_row_and_none_counts_as_a_refusal() -> None:
    refusals, rests = Refusals(RECENT), []
    for number in range(2000):
        refusals.unsent(number * 10.0)
        rests.append(refusals.rest)
    assert rests == sorted(rests)
    assert (rests[0], rests[-1], refusals.row) == (0.5, 5.0, 0)
    refusals.success(20_000)
    refusals.unsent(20_000)
    assert refusals.rest == 0.5


def test_all_messages_that_one_failure_of_the_service_returns_count_once() -> None:
    refusals = Refusals(RECENT)
    for _ in range(64):
        refusals.unsent(1.0)
    assert refusals.rest == 0.5
    for _ in range(64):
        refusals.unsent(1.5)
    assert refusals.rest == 1.0

"""How long to wait before the next attempt, and before the next connection."""

from __future__ import annotations

from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.backoff import LONGEST_RETRY_AFTER, longest_delay, reconnect_delay, retry_after, retry_delay
from domain.consumer import RetryPolicy

spreads = st.floats(0, 1, exclude_max=True)
delays = st.floats(1, 86_400)
policies = st.builds(
    RetryPolicy,
    schedule=st.lists(delays, min_size=1, max_size=8).map(tuple),
    jitter=st.floats(0, 0.5),
)


def test_without_jitter_the_schedule_is_kept_to_whole_seconds_and_then_ends() -> None:
    policy = RetryPolicy(schedule=(1, 2.5, 15), jitter=0)
    assert [retry_delay(policy, attempt, 0.99) for attempt in (1, 2, 3, 4)] == [1, 3, 15, None]


@given(delays)
def test_a_delay_of_the_schedule_is_at_most_an_eighth_or_a_second_late_and_never_early(delay: float) -> None:
    waited = retry_delay(RetryPolicy(schedule=(delay,), jitter=0), 1, 0.5)
    assert waited is not None
    assert delay <= waited <= max(ceil(delay) * 9 / 8, delay + 1)


def test_an_empty_schedule_never_tries_again_whatever_the_target_asks_for() -> None:
    assert retry_delay(RetryPolicy(schedule=()), 1, 0.5, retry_after=10) is None


@given(policies, spreads)
def test_jitter_stays_within_its_share_of_the_delay(policy: RetryPolicy, spread: float) -> None:
    for attempt, delay in enumerate(policy.schedule, 1):
        waited = retry_delay(policy, attempt, spread)
        assert waited is not None
        least, most = delay * (1 - policy.jitter), delay * (1 + policy.jitter)
        assert max(1, floor(least)) <= waited <= max(1, ceil(most)) * 9 / 8


@given(st.floats(20, 86_400), st.floats(0.2, 0.5))
def test_jitter_spreads_a_delay(delay: float, jitter: float) -> None:
    policy = RetryPolicy(schedule=(delay,), jitter=jitter)
    assert len({retry_delay(policy, 1, step / 100) for step in range(100)}) >= 3


@given(policies, spreads, st.integers(1, int(LONGEST_RETRY_AFTER)))
def test_no_retry_is_earlier_than_the_target_asked_for(policy: RetryPolicy, spread: float, asked: int) -> None:
    waited = retry_delay(policy, 1, spread, retry_after=asked)
    assert waited is not None
    assert waited >= asked


def test_a_retry_after_delay_is_exact_to_the_second() -> None:
    policy = RetryPolicy(schedule=(1,), jitter=0)
    assert [retry_delay(policy, 1, 0.5, retry_after=asked) for asked in (6601, 6600.5, 86_399)] == [6601, 6601, 86_399]


@pytest.mark.parametrize(("left", "delay"), [(60, 30), (30, 30), (12.2, 13), (0.1, 1), (-5, 1), (None, 30)])
def test_the_last_attempt_is_made_when_the_time_to_give_up_has_come(left: float | None, delay: int) -> None:
    assert retry_delay(RetryPolicy(schedule=(30,), jitter=0), 1, 0.5, left=left) == delay


def test_no_time_to_give_up_makes_a_retry_earlier_than_the_target_asked_for() -> None:
    assert retry_delay(RetryPolicy(schedule=(30,), jitter=0), 1, 0.5, retry_after=100, left=10) == 100


@given(st.floats(LONGEST_RETRY_AFTER, 1e12))
def test_a_target_that_asks_for_more_than_a_day_gets_a_day(asked: float) -> None:
    assert retry_delay(RetryPolicy(schedule=(1,)), 1, 0.5, retry_after=asked) == 86_400


@given(st.integers(0, 100_000), spreads)
def test_reconnecting_starts_soon_and_is_never_further_apart_than_seven_seconds(failures: int, spread: float) -> None:
    assert 0.1 < reconnect_delay(failures, spread) < 7
    assert reconnect_delay(0, spread) < 0.4


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120), (" 86400\r\n", 86_400), ("0", 0), ("1.5", 1.5),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 37), ("Sunday, 06-Nov-94 08:49:37 GMT", 37), ("Sun Nov  6 08:49:37 1994", 37),
        ("Sun, 06 Nov 1994 08:48:00 GMT", 0),
        ("soon", None), ("", None), ("-5", None), ("1e9", None), ("٣", None), ("Sun, 99 Nov 1994 08:49:37 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_any_of_the_three_dates_of_http(value: str, seconds: float | None) -> None:
    assert retry_after(value, now=784_111_740.0) == seconds


def test_the_longest_delay_of_a_policy_is_the_most_that_jitter_makes_of_it() -> None:
    assert longest_delay(RetryPolicy(schedule=(5, 30, 20), jitter=0.2)) == 36
    assert longest_delay(RetryPolicy(schedule=(5,), jitter=0)) == 5
    assert longest_delay(RetryPolicy(schedule=())) == 0

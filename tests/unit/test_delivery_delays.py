"""Delays as sets of levels."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from delivery.delays import TOP_LEVEL, coarse, levels

seconds = st.integers(1, 2 ** (TOP_LEVEL + 1) - 1)


@given(seconds)
def test_the_levels_of_a_delay_add_up_to_it_and_go_down(delay: int) -> None:
    found = levels(delay)
    assert sum(2**level for level in found) == delay
    assert list(found) == sorted(set(found), reverse=True)
    assert found[0] <= TOP_LEVEL


@given(seconds)
def test_a_coarse_delay_takes_four_levels_at_most_and_is_never_early_nor_an_eighth_late(delay: int) -> None:
    rounded = coarse(delay)
    assert delay <= rounded <= delay * 9 / 8
    assert len(levels(rounded)) <= 4


def test_seven_seconds_wait_for_four_two_and_one() -> None:
    assert levels(7) == (2, 1, 0)

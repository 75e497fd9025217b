"""Success rate and latencies of a consumer's last answers."""

from __future__ import annotations

from delivery.recent import WINDOW, Recent, RecentAnswers


def test_before_the_first_answer_there_is_nothing_to_say() -> None:
    assert RecentAnswers().summary() == Recent(0, 0, None, None)


def test_percentiles_are_times_that_were_really_taken() -> None:
    recent = RecentAnswers()
    for milliseconds in range(100, 0, -1):
        recent.add(milliseconds / 1000, succeeded=milliseconds % 4 != 0)
    assert recent.summary() == Recent(100, 75, 50.0, 99.0)


def test_one_answer_is_all_percentiles() -> None:
    recent = RecentAnswers()
    recent.add(0.25, succeeded=False)
    assert recent.summary() == Recent(1, 0, 250.0, 250.0)


def test_old_answers_are_forgotten() -> None:
    recent = RecentAnswers()
    for _ in range(WINDOW):
        recent.add(9.0, succeeded=False)
    assert recent.summary().succeeded == 0
    for _ in range(WINDOW):
        recent.add(0.001, succeeded=True)
    assert recent.summary() == Recent(WINDOW, WINDOW, 1.0, 1.0)

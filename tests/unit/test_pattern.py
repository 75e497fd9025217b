"""A client's regular expression costs little, whatever it is."""

from __future__ import annotations

import pytest

from domain.pattern import Pattern
from tests.support.patterns import BACKTRACKING, EXPLODING


@pytest.mark.parametrize("expression", ["(", r"(a)\1", "(?=a)", "\ud800", *EXPLODING])
def test_an_expression_that_re2_does_not_take_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="must be a regular expression in RE2 syntax"):
        Pattern(expression)


@pytest.mark.parametrize("expression", BACKTRACKING)
def test_no_expression_searches_without_end(expression: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert not Pattern(expression).found_in("x" * 254 + "!")
    assert capfd.readouterr().err == ""


def test_a_search_that_needs_much_memory_writes_nothing_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    assert Pattern("(x?){500}x{500}").found_in("x" * 5000)
    assert capfd.readouterr().err == ""


def test_it_ignores_case_in_any_alphabet() -> None:
    assert Pattern("^É+$").found_in("éÉ")
    assert not Pattern("^e").found_in("\ud800e")

"""Regular expressions that users of the broker give: searched in linear time, whatever they are."""

from __future__ import annotations

import re

import pytest

from broker.core.pattern import Pattern
from broker.core.policies import InvalidPolicy, Policy, check
from broker.core.users import Permission
from tests.support.patterns import BACKTRACKING, EXPLODING

NAMES = ["amq.gen-1", "orders", "orders.eu", "a", "b", "c", "ab", "", "Übergröße", "(", "amq.(x)"]


@pytest.mark.parametrize(
    "expression",
    ["", ".*", "^orders", r"\.eu$", "^$", "ß", "^(?!amq\\.).*", "^(?!a)", "^(?!(a|b)).", "^(?!amq|orders)(a|c)",
     "^(?![)a])", r"^(?!a\)).", "^(?!a)[|]", "^(?!.*eu$)or"],
)  # fmt: skip
def test_an_expression_finds_what_pcre_finds(expression: str) -> None:
    wanted = [name for name in NAMES if re.search(expression, name)]
    assert [name for name in NAMES if Pattern(expression).found_in(name)] == wanted


@pytest.mark.parametrize("expression", ["(", "a**", "[", "^(?!", "^(?!a", "^(?!a)b|c", "(?=a)", r"(a)\1", *EXPLODING])
def test_an_expression_that_re2_does_not_take_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="is not a regular expression"):
        Permission(write=expression)
    with pytest.raises(InvalidPolicy, match="pattern should be regular expression"):
        check(Policy("p", expression, {"max-length": 1}))


@pytest.mark.parametrize("expression", BACKTRACKING)
def test_no_expression_keeps_the_broker_searching(expression: str) -> None:
    name = "x" * 254 + "!"
    assert not Pattern(expression).found_in(name)
    assert not Policy("p", expression, {"max-length": 1}).matches("queue", name)


def test_a_name_that_is_not_utf_8_is_searched_as_it_came() -> None:
    assert Pattern("^a").found_in(b"a\xff".decode("utf-8", "surrogateescape"))

"""Regular expressions of clients: in linear time, within bounds of memory."""

from __future__ import annotations

import pytest

from broker.core.patterns import compiled, found
from broker.core.policies import InvalidPolicy, Policy, check
from broker.core.users import Permission

HOSTILE = ["(((x{99}){99}){99}){9}", "(x{100}){100}", "x{1001}", "(", "(?!amq)(x{9}){9}", "\ud800"]


@pytest.mark.parametrize("pattern", HOSTILE)
def test_a_pattern_that_is_wrong_or_too_large_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        compiled(pattern)
    with pytest.raises(ValueError, match="is not a regular expression"):
        Permission(configure=pattern)
    with pytest.raises(InvalidPolicy, match="should be regular expression"):
        check(Policy("p", pattern, {"max-length": 1}))


@pytest.mark.timeout(20)
def test_a_pattern_that_would_backtrack_searches_in_linear_time() -> None:
    assert not found("^(x|xx)+$", "x" * 5000 + "!")
    assert not found("(x+x+)+y", "x" * 5000)
    assert not found("(?!y)(x+x+)+y", "x" * 5000), "it is given up"


def test_a_pattern_may_look_ahead() -> None:
    assert found("^(?!amq)", "orders")
    assert not found("^(?!amq)", "amq.direct")


def test_a_pattern_is_searched_in_names_that_are_not_utf_8() -> None:
    assert found("^or", b"or\xff".decode("utf-8", "surrogateescape"))
    assert found("ORDERS", "my.orders", case_sensitive=False)
    assert not found("ORDERS", "my.orders")

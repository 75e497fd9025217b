"""Regular expressions of clients: in linear time, within bounds of memory."""

from __future__ import annotations

import re

import pytest

from broker.core.patterns import compiled, found
from broker.core.policies import InvalidPolicy, Policy, check
from broker.core.users import Permission
from broker.management.errors import ApiError
from broker.management.pagination import paginated
from tests.support.patterns import BACKTRACKING, EXPLODING

HOSTILE = [*EXPLODING, "x{1001}", "(", "a**", "[", "\ud800", "(?=a)", "(?!amq)(x+x+)+y", r"(a)\1", "^(?!", "^(?!a)b|c"]
NAMES = ["amq.gen-1", "orders", "orders.eu", "a", "b", "c", "ab", "", "Übergröße", "(", "amq.(x)"]


@pytest.mark.parametrize("pattern", HOSTILE)
def test_a_pattern_that_is_wrong_or_too_large_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        compiled(pattern)
    with pytest.raises(ValueError, match="is not a regular expression"):
        Permission(configure=pattern)
    with pytest.raises(InvalidPolicy, match="should be regular expression"):
        check(Policy("p", pattern, {"max-length": 1}))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("pattern", [*BACKTRACKING, "^(?!y)(x+x+)+y"])
def test_a_pattern_that_would_backtrack_searches_in_linear_time(pattern: str) -> None:
    assert not found(pattern, "x" * 5000 + "!")


@pytest.mark.timeout(20)
def test_a_filter_of_names_is_given_up_when_it_takes_too_long() -> None:
    names = [{"name": "x" * 255}] * 20_000
    with pytest.raises(ApiError, match="Pagination parameters are invalid"):
        paginated(names, {"page": "1", "use_regex": "true", "name": "(x?){500}x{500}y"})


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        ".*",
        "^orders",
        r"\.eu$",
        "^$",
        "ß",
        r"^(?!amq\.).*",
        "^(?!a)",
        "^(?!(a|b)).",
        "^(?!amq|orders)(a|c)",
        "^(?![)a])",
        r"^(?!a\)).",
        "^(?!a)[|]",
        "^(?!.*eu$)or",
    ],
)
def test_a_pattern_finds_what_a_backtracking_engine_finds(pattern: str) -> None:
    assert [name for name in NAMES if found(pattern, name)] == [name for name in NAMES if re.search(pattern, name)]


def test_a_pattern_is_searched_in_names_that_are_not_utf_8() -> None:
    assert found("^or", b"or\xff".decode("utf-8", "surrogateescape"))
    assert found("ORDERS", "my.orders", case_sensitive=False)
    assert not found("ORDERS", "my.orders")

"""Answers of token endpoints: when a token is refreshed, and that no secret of the request is repeated."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.tokens import Token, refreshed_later, token_of
from domain.outcome import Answer, ErrorClass

PLACE = "https://idp.example/token"


def answer(status: int, content: Any) -> Answer:
    return Answer(status, None, "", 0.1, body=content if isinstance(content, bytes) else json.dumps(content).encode())


def test_a_token_is_refreshed_after_three_quarters_of_its_life() -> None:
    content = {"access_token": "abc", "token_type": "bearer", "expires_in": 400}
    assert token_of(answer(200, content), PLACE, [], 1000.0, 60) == Token("abc", 1300.0, 1400.0)
    del content["expires_in"]
    assert token_of(answer(200, content), PLACE, [], 1000.0, 60) == Token("abc", 1045.0, 1060.0)


def test_refreshes_that_fail_come_closer_together_but_never_within_a_second() -> None:
    token, now, moments = Token("abc", 75.0, 100.0), 75.0, []
    while now < token.expires_at:
        token = refreshed_later(token, now, 1.0)
        moments.append(token.refresh_at - now)
        now = token.refresh_at
    assert moments == sorted(moments, reverse=True)
    assert moments[0] == 6.25
    assert min(moments) == 1.0


@pytest.mark.parametrize("status", range(400, 500))
def test_a_4xx_refuses_the_credentials_unless_it_asks_for_patience(status: int) -> None:
    found = token_of(answer(status, b""), PLACE, [], 0, 60)
    assert isinstance(found, Answer)
    assert found.error is (ErrorClass.TOKEN if status in (408, 425, 429) else ErrorClass.TOKEN_REFUSED)


@given(st.integers(100, 599), st.binary() | st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["access_token", "token_type", "expires_in", "error", "error_description"]) | st.text(), inner)
).map(lambda content: json.dumps(content).encode()))  # fmt: skip
def test_any_answer_gives_a_token_that_fits_into_a_header_or_a_reason_in_one_line(status: int, body: bytes) -> None:
    found = token_of(answer(status, body), PLACE, ["canary-secret"], 0.0, 60)
    if isinstance(found, Token):
        assert found.value.isascii()
        assert found.value.isprintable()
        assert 0 <= found.refresh_at <= found.expires_at < float("inf")
    else:
        assert found.error in (ErrorClass.TOKEN, ErrorClass.TOKEN_REFUSED)
        assert found.detail.isprintable()
        assert len(found.detail) < 500


@pytest.mark.parametrize("form", ["canary secret", "canary%20secret", "canary+secret", "CANARY secret"])
def test_a_secret_that_an_endpoint_repeats_is_masked(form: str) -> None:
    found = token_of(answer(401, {"error": form, "error_description": f"x{form}x"}), PLACE, ["canary secret"], 0, 60)
    assert isinstance(found, Answer)
    if form != "CANARY secret":
        assert "canary" not in found.detail

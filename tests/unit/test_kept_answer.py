"""The parts of a target's answer that the attempt log and dead letters keep."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.kept_answer import MAX_SENTENCE, kept_body, kept_sentence
from domain.consumer import ConsumerSpec

REDACTED = {"bodies": "redacted", "redact": ("iban", "customers.0.name", "deep.er.still")}


def consumer(**policy: Any) -> ConsumerSpec:
    return ConsumerSpec(
        queue_name="orders",
        url="http://t.example/",
        auth={"type": "bearer", "token": "canary-token"},
        attempt_log=policy,
    )


def kept(body: bytes, **policy: Any) -> str | None:
    return kept_body(body, consumer(**policy))


@pytest.mark.parametrize(
    ("body", "policy", "expected"),
    [
        (b"IBAN checksum failed", {}, "IBAN checksum failed"),
        (b"", {}, None),
        (b" \r\n", {}, None),
        (b"\xff", {}, "\N{REPLACEMENT CHARACTER}"),
        (b"you sent canary-token", {}, "you sent **********"),
        (b"anything", {"bodies": "none"}, None),
        (b"anything", REDACTED, None),
        (b'{"iban": "DE1', REDACTED, None),
        (b'{"iban": "DE1", "code": 7}', REDACTED, '{"iban":"**********","code":7}'),
        (b'{"customers": [{"name": "Eve"}]}', REDACTED, '{"customers":[{"name":"**********"}]}'),
        (b'{"customers": []}', REDACTED, '{"customers":[]}'),
        (b'{"deep": {"er": 1}}', REDACTED, '{"deep":{"er":1}}'),
        (b'{"token": "canary-token"}', REDACTED, '{"token":"**********"}'),
        (b"[1]", REDACTED, "[1]"),
    ],
)
def test_a_body_is_kept_as_far_as_the_policy_permits(body: bytes, policy: dict[str, Any], expected: str | None) -> None:
    assert kept(body, **policy) == expected


def test_no_more_than_the_start_is_kept_of_an_answer_that_is_read_further() -> None:
    """Consumers that reply read up to 64 KiB, and those whose answers name the failed of a batch up to 1 MiB."""
    assert kept(b"x" * 10_000) == "x" * 4096
    assert kept(b"[" + b"1," * 5000 + b"1]", **REDACTED) is None


@given(st.binary())
def test_no_body_and_no_path_raises(body: bytes) -> None:
    kept(body)
    kept(body, bodies="redacted", redact=("a", "0.b", "a.0.b"))
    kept_sentence(body, consumer())


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"detail": "IBAN checksum failed", "title": "Invalid"}, "IBAN checksum failed"),
        ({"error": {"code": 7, "message": "No such account"}}, "No such account"),
        ({"error": "invalid_request", "error_description": "The  amount\nis missing"}, "The amount is missing"),
        (b"Order is closed\n", "Order is closed"),
        (b"x" * MAX_SENTENCE, "x" * MAX_SENTENCE),
        ({"detail": "x" * 500}, "x" * MAX_SENTENCE),
        (b"x" * (MAX_SENTENCE + 1), None),
        (b"<html>Bad Gateway</html>", None),
        (b'{"detail": "cut sho', None),
        ({"detail": 7}, None),
        ([1], None),
        (b"", None),
        (b"\x1b[31mred", None),
        (b"[" * 100_000, None),
        (b"Authorization: Basic YWRtaW46", None),
        (b"no such account: canary-token", "no such account: **********"),
        ({"detail": "the token abc is not valid", "title": "Forbidden"}, "Forbidden"),
    ],
)
def test_the_sentence_of_an_answer_is_its_error_text_and_never_names_credentials(
    body: Any, sentence: str | None
) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert kept_sentence(raw, consumer()) == sentence

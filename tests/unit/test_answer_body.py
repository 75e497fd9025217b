"""The part of a target's answer that the attempt log keeps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.answer_body import answer_body
from domain.consumer import ConsumerSpec

REDACTED = {"bodies": "redacted", "redact": ("iban", "customers.0.name", "deep.er.still")}


def kept(body: bytes, **policy: Any) -> str | None:
    spec = ConsumerSpec(
        queue_name="orders",
        url="http://t.example/",
        auth={"type": "bearer", "token": "canary-token"},
        attempt_log=policy,
    )
    return answer_body(body, spec)


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

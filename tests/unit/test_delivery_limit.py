"""The delivery limit that applies to a quorum queue, by version, argument and policy."""

from __future__ import annotations

import pytest

from gateway.management.facts import delivery_limit, facts_of

V3, V4 = (3, 10, 8), (4, 0, 5)


@pytest.mark.parametrize(
    ("version", "argument", "policy", "limit"),
    [
        (V3, None, None, None),
        (V3, 5, None, 5),
        (V3, 5, 2, 2),
        (V3, 0, None, 0),
        (V3, -1, None, 0),  # 3.10 drops at the first return
        (V4, None, None, 20),
        (V4, 5, None, 5),
        (V4, 5, 2, 2),
        (V4, 0, None, 0),
        (V4, -1, None, None),
        (V4, -1, 7, 7),
        (V4, 7, -1, 7),
        (V4, -1, -1, None),
    ],
)
def test_the_limit_is_that_of_the_version(
    version: tuple[int, ...], argument: int | None, policy: int | None, limit: int | None
) -> None:
    assert delivery_limit((argument, policy), version) == limit


def test_only_quorum_queues_have_a_limit() -> None:
    assert facts_of({"type": "classic", "arguments": {}}, V4).delivery_limit is None
    assert facts_of({"type": "quorum", "effective_policy_definition": []}, V4).delivery_limit == 20
    policy = {"type": "quorum", "effective_policy_definition": {"delivery-limit": 2}}
    assert facts_of(policy, V4).delivery_limit == 2

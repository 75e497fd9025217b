"""The features of a delivery that a soak runs, each with a separate queue, consumer and messages: a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Fields = Mapping[str, Any]
REPLIES = "soak-replies"
_QUORUM: Fields = {"type": "quorum"}
_AT_ONCE: Fields = {"schedule": [1, 1, 2, 2, 5], "jitter": 0.2}

_BATCHED: Fields = {"payload": "envelope", "batch": {"maxMessages": 20, "maxWaitMs": 2000}}


def _plain(number: int) -> dict[str, Any]:
    return {"message": {"number": number}}


def _keyed(number: int) -> dict[str, Any]:
    return {"message": {"number": number}, "properties": {"headers": {"x-key": f"k{number % 4}"}}}


def _asking(number: int) -> dict[str, Any]:
    return {"message": {"number": number}, "properties": {"replyTo": REPLIES}}


def _twice(number: int) -> dict[str, Any]:
    return {"message": {"number": number}, "twice": True}


@dataclass(frozen=True)
class Feature:
    """`queue` and `consumer` are fields of createQueue and createConsumer; `path` is the target's behaviour.

    Features of one `target` share its address, and so its breaker and its pauses.
    """

    name: str
    path: str = "/ok"
    queue: Fields = field(default_factory=dict)
    consumer: Fields | None = field(default_factory=dict)
    target: Literal["usual", "throttling", "failing"] = "usual"
    message: Callable[[int], dict[str, Any]] = _plain
    replayed: bool = False
    """Its dead letters are replayed, again and again."""

    @property
    def queue_name(self) -> str:
        return f"soak-{self.name}"


def features(short: float, long: float) -> tuple[Feature, ...]:
    """All features; two of them retry after `short` and after `long` seconds."""
    tolerant = {"breaker": {"failures": 10_000}, "retry": _AT_ONCE}
    slow = {"breaker": {"failures": 10_000}, "retry": {"schedule": [short, short], "jitter": 0.2}}
    slowest = {"breaker": {"failures": 10_000}, "retry": {"schedule": [long], "jitter": 0}}
    return (
        Feature("plain"),
        Feature("plain-quorum", queue=_QUORUM),
        Feature("retry", "/random?fail=0.3&reset=0.02", consumer=tolerant),
        Feature("retry-quorum", "/random?fail=0.3&reset=0.02", _QUORUM, tolerant),
        Feature("retry-short", "/status/500?times=2", _QUORUM, slow),
        Feature("retry-long", "/status/500?times=1", _QUORUM, slowest),
        Feature("throttled", "/retry-after?seconds=2&status=429&times=1", _QUORUM, target="throttling"),
        Feature("ordered", "/status/503?times=1", _QUORUM, {**tolerant, "ordering": "queue"}),
        Feature(
            "ordered-by-key", "/random?fail=0.2", {}, {**tolerant, "ordering": {"header": "x-key"}}, message=_keyed
        ),
        Feature("replied", consumer={"reply": True}, message=_asking),
        Feature("rate-limited", consumer={"rateLimit": {"perSecond": 2, "burst": 2}}),
        Feature("replayed", "/status/422?times=1", _QUORUM, replayed=True),
        Feature("rejected", "/status/422"),
        Feature("changed", "/slow?seconds=0.2", _QUORUM),
        Feature(
            "failing", consumer={"breaker": {"failures": 3, "openSeconds": 2}, "retry": _AT_ONCE}, target="failing"
        ),
        Feature("envelope", consumer={"payload": "envelope"}),
        Feature("batched", "/random?fail=0.2&reset=0.02", consumer={**tolerant, **_BATCHED}),
        Feature(
            "batched-by-key",
            "/random?fail=0.2",
            _QUORUM,
            {**tolerant, **_BATCHED, "ordering": {"header": "x-key"}},
            message=_keyed,
        ),
        Feature("adaptive", "/random?fail=0.1", consumer={**tolerant, "concurrency": {"max": 8, "adaptive": True}}),
        Feature("cloudevents", consumer={"payload": "cloudevents"}),
        Feature("idempotent", message=_twice),
        Feature("peeked", consumer=None),
        Feature("peeked-quorum", queue=_QUORUM, consumer=None),
        Feature("auto-delete", queue={"autoDelete": True}, consumer=None),
    )

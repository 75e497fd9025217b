"""Records of requests with an Idempotency-Key: a repeated request gets the first answer and changes nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The answer to the first request."""

    status: int
    content_type: str
    body: str


@dataclass(frozen=True, slots=True)
class Reservation:
    """A request's exclusive right to answer for a key. `holder` identifies the request that has the right;
    `fingerprint` identifies the content of the request."""

    identity: str
    holder: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Known:
    """A key that is in use: the fingerprint of its request, and the answer once there is one."""

    fingerprint: str
    answer: KeptAnswer | None

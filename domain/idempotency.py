"""A request that is made again under the same Idempotency-Key must do nothing again: what is kept for that."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The answer of the first request."""

    status: int
    content_type: str
    body: str


@dataclass(frozen=True, slots=True)
class Reservation:
    """The right to answer for a key: `holder` tells it from that of a request that came before or after, `fingerprint`
    tells the request from others under the same key."""

    identity: str
    holder: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Known:
    """A key that is taken: by which request, and its answer once there is one."""

    fingerprint: str
    answer: KeptAnswer | None

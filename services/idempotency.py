"""Idempotency-Key: of all requests of a user with the same key, one is carried out."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256

import structlog

from domain.errors import Conflict, IdempotencyMismatch, StoreUnavailable
from domain.idempotency import KeptAnswer, Known
from gateway.mongo import Store

log = structlog.get_logger("workerrmq.idempotency")

Outcome = tuple[KeptAnswer, bool]
"""An answer, and whether it is to be kept."""


class Idempotency:
    """Thread-safe, over all processes and hosts."""

    def __init__(self, store: Store) -> None:
        self._answers = store.idempotency

    def once(self, user: str, key: str, request: bytes, answer: Callable[[], Outcome]) -> tuple[KeptAnswer, bool]:
        """The answer, and whether it is that of an earlier request. `request` is all that makes up the request.

        Raises IdempotencyMismatch when the key was used for another request, Conflict while that is under way,
        StoreUnavailable, and what `answer` raises; then the key is free.
        """
        identity = sha256(f"{user}\n{key}".encode()).hexdigest()
        # Keyed: a body may hold a password, of which a plain hash would tell too much.
        fingerprint = hmac.new(key.encode(), request, sha256).hexdigest()
        found = self._answers.reserve(identity, fingerprint, datetime.now(UTC))
        if isinstance(found, Known):
            return _replayed(found, fingerprint), True
        try:
            content, kept = answer()
        except BaseException:
            self._try(lambda: self._answers.free(found))
            raise
        if kept:
            self._try(lambda: self._answers.keep(found, fingerprint, content, datetime.now(UTC)))
        else:
            self._try(lambda: self._answers.free(found))
        return content, False

    def _try(self, change: Callable[[], None]) -> None:
        try:
            change()
        except StoreUnavailable as exc:  # the request itself is done: its answer counts
            log.warning("idempotency_key_held", reason=exc.detail)


def _replayed(found: Known, fingerprint: str) -> KeptAnswer:
    if not hmac.compare_digest(found.fingerprint, fingerprint):
        raise IdempotencyMismatch("This Idempotency-Key was used for another request: use a new one for this.")
    if found.answer is None:
        raise Conflict(
            "The first request with this Idempotency-Key is under way: ask again in a moment.",
            code="idempotency_in_flight",
        )
    return found.answer

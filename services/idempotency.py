"""Idempotency-Key: of all requests by one caller with the same key, only the first is carried out."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from threading import Lock

from domain.errors import Conflict, IdempotencyMismatch, StoreUnavailable
from domain.idempotency import KeptAnswer, Known, Reservation
from gateway.mongo.idempotency import IdempotentAnswers
from runtime.threads import OneThread
from services.complaints import Complaints

Outcome = tuple[KeptAnswer, bool]
"""An answer, and whether to keep it."""


@dataclass(frozen=True, slots=True)
class _Open:
    """A reservation that needs another write to the store. If `running`, its request is in progress and the lease must
    be renewed. Otherwise the last write was not confirmed: keep `answer`, or free the key if it is None."""

    since: float
    running: bool
    answer: KeptAnswer | None = None


class Idempotency(OneThread):
    """Thread-safe, across all processes and hosts. A part of the process's runtime: its thread renews the leases of
    slow requests, and repeats writes that the store did not confirm."""

    def __init__(
        self,
        answers: IdempotentAnswers,
        *,
        retry_after: float = 1.0,
        most_open: int = 1000,
        complaints: Complaints | None = None,
    ) -> None:
        """Repeat a write after `retry_after` seconds, for at most `most_open` reservations. The keys of further
        reservations become free when their leases end."""
        self._answers = answers
        self._complaints = complaints or Complaints()
        self._lease = answers.lease.total_seconds()
        self._pause = min(retry_after, self._lease / 4)
        self._most_open = most_open
        self._open: dict[Reservation, _Open] = {}
        self._lock = Lock()

    def once(self, caller: str, key: str, request: bytes, answer: Callable[[], Outcome]) -> tuple[KeptAnswer, bool]:
        """Call `answer` unless this caller has used the key. Return the answer, and whether it is that of an earlier
        request. `request` holds all that identifies the request: method, path, content type, body.

        Raises IdempotencyMismatch when the key was used for another request, Conflict while the first request is in
        progress, StoreUnavailable, and the errors of `answer`, after which the key is free.
        """
        identity = sha256(f"{caller}\n{key}".encode()).hexdigest()
        # An HMAC, because a body may hold a password, which could be guessed from a plain hash.
        fingerprint = hmac.new(key.encode(), request, sha256).hexdigest()
        reservation = Reservation(identity, secrets.token_hex(8), fingerprint)
        try:
            known = self._answers.reserve(reservation, datetime.now(UTC))
        except StoreUnavailable:
            self._put_off(reservation, None)  # the write may have succeeded, so the key must be freed
            raise
        if known is not None:
            return _replayed(known, fingerprint), True
        with self._lock:
            self._open[reservation] = _Open(time.monotonic(), running=True)
        try:
            content, kept = answer()
        except BaseException:
            self._end(reservation, None)
            raise
        self._end(reservation, content if kept else None)
        return content, False

    def _end(self, reservation: Reservation, answer: KeptAnswer | None) -> None:
        if self._write(reservation, answer):
            with self._lock:
                self._open.pop(reservation, None)
        else:  # the request is done, so only this write is repeated
            self._put_off(reservation, answer)

    def _write(self, reservation: Reservation, answer: KeptAnswer | None) -> bool:
        if answer is None:
            end = partial(self._answers.free, reservation)
        else:
            end = partial(self._answers.keep, reservation, answer, datetime.now(UTC))
        return self._complaints.attempt("store", "idempotency", end)

    def _put_off(self, reservation: Reservation, answer: KeptAnswer | None) -> None:
        with self._lock:
            self._open.pop(reservation, None)
            if len(self._open) < self._most_open:
                self._open[reservation] = _Open(time.monotonic(), running=False, answer=answer)

    # --- on the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        """Repeat the writes until `stop`, and once more then."""
        stopping = False
        while not stopping:
            stopping = self._stopping.wait(self._pause)
            with self._lock:
                found = list(self._open.items())
            for reservation, one in found:
                self._look_after(reservation, one)

    def _look_after(self, reservation: Reservation, one: _Open) -> None:
        age = time.monotonic() - one.since
        if one.running:
            renew = partial(self._answers.renew, reservation, datetime.now(UTC))
            if age >= self._lease / 3 and self._complaints.attempt("store", "idempotency", renew):
                self._replace(reservation, one, _Open(time.monotonic(), running=True))
        elif age >= self._lease or self._write(reservation, one.answer):  # the key is free after its lease
            self._replace(reservation, one, None)

    def _replace(self, reservation: Reservation, before: _Open, after: _Open | None) -> None:
        """Replace an entry, unless the request has ended in the meantime."""
        with self._lock:
            if self._open.get(reservation) is not before:
                return
            if after is None:
                del self._open[reservation]
            else:
                self._open[reservation] = after


def _replayed(found: Known, fingerprint: str) -> KeptAnswer:
    if not hmac.compare_digest(found.fingerprint, fingerprint):
        raise IdempotencyMismatch("This Idempotency-Key was used for another request. Use a new key.")
    if found.answer is None:
        raise Conflict(
            "The first request with this Idempotency-Key is in progress. Retry shortly.",
            code="idempotency_in_flight",
        )
    return found.answer

"""Idempotency-Key: of all requests of a user with the same key, one is carried out."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256

import structlog

from domain.errors import Conflict, IdempotencyMismatch, StoreUnavailable
from domain.idempotency import KeptAnswer, Known, Reservation
from gateway.mongo.idempotency import IdempotentAnswers
from services.complaints import Complaints

log = structlog.get_logger("workerrmq.idempotency")

Outcome = tuple[KeptAnswer, bool]
"""An answer, and whether it is to be kept."""


@dataclass(frozen=True, slots=True)
class _Open:
    """A reservation that the store still has to hear of. `running`: its request is under way, and its lease must be
    renewed. Otherwise the store did not confirm the end: the answer to keep, or None to free the key."""

    since: float
    running: bool
    answer: KeptAnswer | None = None


class Idempotency:
    """Thread-safe, over all processes and hosts. A part of the process's runtime: its thread renews the leases of
    requests that take long, and repeats the writes that the store did not confirm."""

    def __init__(
        self,
        answers: IdempotentAnswers,
        *,
        retry_after: float = 1.0,
        most_open: int = 1000,
        complaints: Complaints | None = None,
    ) -> None:
        """Repeat a write after `retry_after` seconds, for at most `most_open` reservations; the keys of others are
        free when their lease ends."""
        self._answers = answers
        self._complaints = complaints or Complaints()
        self._lease = answers.lease.total_seconds()
        self._pause = min(retry_after, self._lease / 4)
        self._most_open = most_open
        self._open: dict[Reservation, _Open] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="workerrmq-idempotency", daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Try once more to write what the store did not confirm."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout)
            self._thread = None

    def once(self, caller: str, key: str, request: bytes, answer: Callable[[], Outcome]) -> tuple[KeptAnswer, bool]:
        """The answer, and whether it is that of an earlier request by this caller. `request` is all that makes up the
        request.

        Raises IdempotencyMismatch when the key was used for another request, Conflict while that is under way,
        StoreUnavailable, and what `answer` raises; then the key is free.
        """
        identity = sha256(f"{caller}\n{key}".encode()).hexdigest()
        # Keyed: a body may hold a password, of which a plain hash would tell too much.
        fingerprint = hmac.new(key.encode(), request, sha256).hexdigest()
        reservation = Reservation(identity, secrets.token_hex(8), fingerprint)
        try:
            known = self._answers.reserve(reservation, datetime.now(UTC))
        except StoreUnavailable:
            self._put_off(reservation, None)  # the key may be reserved: nobody would answer for it
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
        else:  # the request itself is done: its answer counts
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
        stopping = False
        while not stopping:
            stopping = self._stopping.wait(self._pause)
            with self._lock:
                found = list(self._open.items())
            for reservation, one in found:
                try:
                    self._look_after(reservation, one)
                except Exception:  # a fault of ours must not end the renewals
                    log.exception("idempotency_crashed")

    def _look_after(self, reservation: Reservation, one: _Open) -> None:
        age = time.monotonic() - one.since
        if one.running:
            renew = partial(self._answers.renew, reservation, datetime.now(UTC))
            if age >= self._lease / 3 and self._complaints.attempt("store", "idempotency", renew):
                self._replace(reservation, one, _Open(time.monotonic(), running=True))
        elif age >= self._lease or self._write(reservation, one.answer):  # after its lease the key is free anyway
            self._replace(reservation, one, None)

    def _replace(self, reservation: Reservation, before: _Open, after: _Open | None) -> None:
        """Unless the request has ended meanwhile."""
        with self._lock:
            if self._open.get(reservation) is not before:
                return
            if after is None:
                del self._open[reservation]
            else:
                self._open[reservation] = after


def _replayed(found: Known, fingerprint: str) -> KeptAnswer:
    if not hmac.compare_digest(found.fingerprint, fingerprint):
        raise IdempotencyMismatch("This Idempotency-Key was used for another request: use a new one for this.")
    if found.answer is None:
        raise Conflict(
            "The first request with this Idempotency-Key is under way: ask again in a moment.",
            code="idempotency_in_flight",
        )
    return found.answer

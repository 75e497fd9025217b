"""Answers by Idempotency-Key. A TTL index removes old ones."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from datetime import datetime, timedelta

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from domain.errors import Conflict
from domain.idempotency import KeptAnswer, Known, Reservation
from gateway.mongo.collection import Document, IndexedCollection, forgetting, store_call
from gateway.mongo.secrets import Sealer, Unreadable


class IdempotentAnswers(IndexedCollection):
    """Reservations and answers. Keys and request bodies are stored as hashes only. Answers are sealed, because one may
    contain a secret that is shown only once. All methods raise StoreUnavailable."""

    def __init__(
        self,
        database: Database[Document],
        sealer: Sealer,
        *,
        kept: timedelta,
        lease: timedelta = timedelta(minutes=2),
    ) -> None:
        """An answer is removed after `kept`. A reservation ends if it is neither answered nor renewed for `lease`,
        because its process is gone."""
        super().__init__(database, "idempotency", forgetting("expiresAt"))
        self._sealer = sealer
        self._kept = kept
        self.lease = lease

    @store_call
    def reserve(self, wanted: Reservation, now: datetime) -> Known | None:
        """Reserve a key for exactly one of several requests. Return None if this request has it, else the record of the
        key. After StoreUnavailable the key may be reserved or not."""
        collection, document = self._collection(), self._reserved(wanted, now)
        while True:
            try:
                collection.insert_one(document)
            except DuplicateKeyError:
                found = collection.find_one({"_id": wanted.identity})
                if found is None:  # it was freed in between
                    continue
                if not _over(found, wanted.fingerprint, now):
                    return Known(found["fingerprint"], self._opened(found["answer"], wanted.identity))
                if not collection.replace_one(_held(found["holder"], wanted.identity), document).matched_count:
                    continue
            return None

    @store_call
    def renew(self, reservation: Reservation, now: datetime) -> None:
        """Restart the lease, unless the reservation has ended."""
        held = _held(reservation.holder, reservation.identity)
        # Replace the document instead of $set, with which the embedded store turns times into strings.
        self._collection().replace_one(held, self._reserved(reservation, now))

    @store_call
    def keep(self, reservation: Reservation, answer: KeptAnswer, now: datetime) -> None:
        """Store the answer for repeated requests, unless the reservation has ended. This ends the reservation: the
        answer has another holder, so a late renewal does not overwrite it."""
        document = {
            "_id": reservation.identity,
            "holder": secrets.token_hex(8),
            "fingerprint": reservation.fingerprint,
            "heldUntil": now,
            "expiresAt": now + self._kept,
            "answer": self._sealer.seal(asdict(answer), _place(reservation.identity)),
        }
        self._collection().replace_one(_held(reservation.holder, reservation.identity), document)

    @store_call
    def free(self, reservation: Reservation) -> None:
        """Free the key, so that the next request under it is carried out, unless the reservation has ended."""
        self._collection().delete_one(_held(reservation.holder, reservation.identity))

    def _reserved(self, reservation: Reservation, now: datetime) -> Document:
        return {
            "_id": reservation.identity,
            "holder": reservation.holder,
            "fingerprint": reservation.fingerprint,
            "heldUntil": now + self.lease,
            "expiresAt": now + self._kept,
            "answer": None,
        }

    def _opened(self, sealed: str | None, identity: str) -> KeptAnswer | None:
        if sealed is None:
            return None
        try:
            return KeptAnswer(**self._sealer.open(sealed, _place(identity)))
        except Unreadable as exc:
            raise Conflict(
                f"The answer for this Idempotency-Key cannot be decrypted ({exc}). Use another key.",
                code="idempotency_unreadable",
            ) from None


def _place(identity: str) -> tuple[str, str]:
    """Return the place for which an answer's seal is valid: only its caller, because it may contain an API key."""
    return "idempotent answer", identity


def _held(holder: str, identity: str) -> Document:
    return {"_id": identity, "holder": holder}


def _over(found: Document, fingerprint: str, now: datetime) -> bool:
    """Return whether a key is free again: its record has expired (the TTL index may be a minute late), or the process
    that reserved it is gone."""
    abandoned = found["answer"] is None and found["heldUntil"] <= now and found["fingerprint"] == fingerprint
    return bool(abandoned or found["expiresAt"] <= now)

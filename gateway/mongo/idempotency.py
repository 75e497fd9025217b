"""Answers kept under Idempotency-Keys, until a TTL index removes them."""

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
    """Neither keys nor bodies are stored, only their hashes, and answers sealed: an answer may hold a secret that is
    shown only once. All methods raise StoreUnavailable."""

    def __init__(
        self,
        database: Database[Document],
        sealer: Sealer,
        *,
        kept: timedelta,
        lease: timedelta = timedelta(minutes=2),
    ) -> None:
        """Forget an answer after `kept`. A reservation that is neither answered nor renewed for `lease` has lost its
        process, and ends."""
        super().__init__(database, "idempotency", forgetting("expiresAt"))
        self._sealer = sealer
        self._kept = kept
        self.lease = lease

    @store_call
    def reserve(self, wanted: Reservation, now: datetime) -> Known | None:
        """Reserve a key for exactly one of all who ask. Return None if that is this one, else what is known of the
        key. After StoreUnavailable it may be reserved, or not."""
        collection, document = self._collection(), self._reserved(wanted, now)
        while True:
            try:
                collection.insert_one(document)
            except DuplicateKeyError:
                found = collection.find_one({"_id": wanted.identity})
                if found is None:  # freed in between
                    continue
                if not _over(found, wanted.fingerprint, now):
                    return Known(found["fingerprint"], self._opened(found["answer"], wanted.identity))
                if not collection.replace_one(_held(found["holder"], wanted.identity), document).matched_count:
                    continue
            return None

    @store_call
    def renew(self, reservation: Reservation, now: datetime) -> None:
        """Begin the lease anew, unless the reservation has ended."""
        held = _held(reservation.holder, reservation.identity)
        # A replacement, not $set: the embedded store would turn the times into strings.
        self._collection().replace_one(held, self._reserved(reservation, now))

    @store_call
    def keep(self, reservation: Reservation, answer: KeptAnswer, now: datetime) -> None:
        """Store the answer that all who ask again shall get, unless the reservation has ended. This ends it: the answer
        has a holder of its own, so that a renewal which comes late does not overwrite it."""
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
        """Let the next request under the key be answered anew, unless the reservation has ended."""
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
                f"The answer of this Idempotency-Key cannot be read: such answers were sealed {exc}. Use another key.",
                code="idempotency_unreadable",
            ) from None


def _place(identity: str) -> tuple[str, str]:
    """What the seal of an answer holds for: an answer may hold an API key, and is for none but its caller."""
    return "idempotent answer", identity


def _held(holder: str, identity: str) -> Document:
    return {"_id": identity, "holder": holder}


def _over(found: Document, fingerprint: str, now: datetime) -> bool:
    """Whether a key is free again: when its answer is to be forgotten (the TTL index may be a minute late), or when the
    process that held it is gone."""
    abandoned = found["answer"] is None and found["heldUntil"] <= now and found["fingerprint"] == fingerprint
    return bool(abandoned or found["expiresAt"] <= now)

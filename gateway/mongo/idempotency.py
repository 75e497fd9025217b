"""Answers kept under Idempotency-Keys. A TTL index forgets them after a day."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from datetime import datetime, timedelta

from pymongo import IndexModel
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from domain.errors import Conflict
from domain.idempotency import KeptAnswer, Known, Reservation
from gateway.mongo.collection import Document, IndexedCollection, translated
from gateway.mongo.secrets import Sealer, Unreadable

KEPT = timedelta(hours=24)
LEASE = timedelta(minutes=2)
"""Longer than any request takes: an unanswered one that is older has lost its process."""


class IdempotentAnswers:
    """Neither keys nor bodies are stored, only their hashes, and answers sealed: an answer may hold a secret that is
    shown only once. All methods raise StoreUnavailable."""

    def __init__(self, database: Database[Document], sealer: Sealer) -> None:
        self._collection = IndexedCollection(database, "idempotency", IndexModel("expiresAt", expireAfterSeconds=0))
        self._sealer = sealer

    @translated
    def reserve(self, identity: str, fingerprint: str, now: datetime) -> Reservation | Known:
        """A reservation for exactly one of all who ask; what is known of the key for the others."""
        collection = self._collection()
        wanted: Document = {
            "_id": identity,
            "holder": secrets.token_hex(8),
            "fingerprint": fingerprint,
            "heldUntil": now + LEASE,
            "expiresAt": now + KEPT,
            "answer": None,
        }
        while True:
            try:
                collection.insert_one(wanted)
            except DuplicateKeyError:
                found = collection.find_one({"_id": identity})
                if found is None:  # freed in between
                    continue
                if not _over(found, fingerprint, now):
                    return Known(found["fingerprint"], self._opened(found["answer"]))
                if not collection.replace_one(_held(found["holder"], identity), wanted).matched_count:
                    continue
            return Reservation(identity, wanted["holder"])

    @translated
    def keep(self, reservation: Reservation, fingerprint: str, answer: KeptAnswer, now: datetime) -> None:
        """Store the answer that all who ask again shall get."""
        document = {
            "_id": reservation.identity,
            "holder": reservation.holder,
            "fingerprint": fingerprint,
            "heldUntil": now,
            "expiresAt": now + KEPT,
            "answer": self._sealer.seal(asdict(answer)),
        }
        self._collection().replace_one(_held(reservation.holder, reservation.identity), document)

    @translated
    def free(self, reservation: Reservation) -> None:
        """Let the next request under the key be answered anew."""
        self._collection().delete_one(_held(reservation.holder, reservation.identity))

    def _opened(self, sealed: str | None) -> KeptAnswer | None:
        if sealed is None:
            return None
        try:
            return KeptAnswer(**self._sealer.open(sealed))
        except Unreadable:
            raise Conflict(
                "The answer of this Idempotency-Key was sealed by a SECRET_KEY that is gone: use another key.",
                code="idempotency_unreadable",
            ) from None


def _held(holder: str, identity: str) -> Document:
    return {"_id": identity, "holder": holder}


def _over(found: Document, fingerprint: str, now: datetime) -> bool:
    """Whether a key is free again: after a day (the TTL index may be a minute late), or when who held it is gone."""
    abandoned = found["answer"] is None and found["heldUntil"] <= now and found["fingerprint"] == fingerprint
    return bool(abandoned or found["expiresAt"] <= now)

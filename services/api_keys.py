"""API keys: create, list, authenticate and delete them."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from domain.api_key import PREFIX, ApiKey, CreateApiKey
from domain.audit import State, state_of
from domain.details import Page
from domain.errors import Invalid, Unauthenticated
from domain.selection import Selection
from domain.user import Principal
from gateway.mongo import Store
from runtime.revocation_counter import RevocationCounter
from services.complaints import Complaints
from services.selecting import selected

_NEVER = datetime.max.replace(tzinfo=UTC)


class ApiKeys:
    """Thread-safe. Every method raises StoreUnavailable when the store is down. A key stays valid after its creator is
    deleted."""

    def __init__(
        self,
        store: Store,
        revocations: RevocationCounter,
        *,
        noted_every: timedelta = timedelta(minutes=1),
        complaints: Complaints | None = None,
    ) -> None:
        """Record the last use of each key at most once per `noted_every`."""
        self._noted_every = noted_every
        self._complaints = complaints or Complaints()
        self._keys = store.api_keys
        self._revocations = revocations

    def create(self, wanted: CreateApiKey, created_by: str) -> tuple[str, ApiKey]:
        """Return the new key in plain text and its record; only a digest of the key is stored. Raises Conflict when the
        name exists, and Invalid when `expires_at` is in the past."""
        now = datetime.now(UTC)
        if wanted.expires_at and wanted.expires_at <= now:
            raise Invalid.at("expiresAt", "must be in the future")
        secret = PREFIX + secrets.token_urlsafe(32)
        key = ApiKey(wanted.name, wanted.role, wanted.queues, digest(secret), created_by, now, wanted.expires_at)
        self._keys.add(key)
        return secret, key

    def page(self, wanted: Selection) -> Page[ApiKey]:
        """Return the wanted page of keys, including expired ones. Raises what `selected` raises."""
        return selected(self._keys.all(), wanted, lambda key: (key.name,))

    def all(self) -> list[ApiKey]:
        """Return all keys, including expired ones, by name."""
        return self._keys.all()

    def state_of(self, name: str) -> State | None:
        """Return a key for the audit log, without its digest; None if there is none."""
        found = (one for one in self._keys.all() if one.name == name)
        return next((state_of(one, "role queues expires_at created_by created_at last_used_at") for one in found), None)

    def delete(self, name: str) -> None:
        """Delete a key; all processes of this host reject it at once. Raises NotFound."""
        self._keys.remove(name)
        self._revocations.bump()

    def owner(self, secret: str) -> tuple[Principal, datetime]:
        """Return the principal of a key, and the time when the key expires. Raises Unauthenticated."""
        now = datetime.now(UTC)
        key = self._keys.by_digest(digest(secret))
        if key is None:
            raise Unauthenticated("The API key is unknown or has been deleted.", code="token_invalid")
        if key.expires_at and key.expires_at <= now:
            raise Unauthenticated("The API key has expired. Ask an admin for a new one.", code="token_invalid")
        self._note_use(key, now)
        return key.principal, key.expires_at or _NEVER

    def _note_use(self, key: ApiKey, now: datetime) -> None:
        if key.last_used_at and now - key.last_used_at < self._noted_every:
            return
        # The request succeeds even if this write fails.
        self._complaints.attempt("store", "use of API keys", lambda: self._keys.used(key, now))


def digest(secret: str) -> str:
    """Return the digest to store for a token or key. A plain hash is safe: 256 random bits cannot be guessed, and need
    no salt."""
    return sha256(secret.encode()).hexdigest()

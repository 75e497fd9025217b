"""API keys: make, list and delete them, and who one belongs to."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import structlog

from domain.api_key import PREFIX, ApiKey, CreateApiKey
from domain.details import Page
from domain.errors import Invalid, StoreUnavailable, Unauthenticated
from domain.selection import Selection
from domain.user import Principal
from gateway.mongo import Store
from runtime.revocation_counter import RevocationCounter
from services.selecting import selected

log = structlog.get_logger("workerrmq.keys")

_NEVER = datetime.max.replace(tzinfo=UTC)


class ApiKeys:
    """Thread-safe. Every method raises StoreUnavailable when the store is away. A key outlives who created it."""

    def __init__(
        self, store: Store, revocations: RevocationCounter, *, noted_every: timedelta = timedelta(minutes=1)
    ) -> None:
        """The last use of a key is noted when `noted_every` has passed since it was noted before."""
        self._noted_every = noted_every
        self._keys = store.api_keys
        self._revocations = revocations

    def create(self, wanted: CreateApiKey, created_by: str) -> tuple[str, ApiKey]:
        """The key itself, which nobody can ever read again, and what it stands for. Raises Conflict when the name is
        taken, and Invalid for an end in the past."""
        now = datetime.now(UTC)
        if wanted.expires_at and wanted.expires_at <= now:
            raise Invalid("expiresAt: must be in the future", fields=[("expiresAt", "must be in the future")])
        secret = PREFIX + secrets.token_urlsafe(32)
        key = ApiKey(wanted.name, wanted.role, wanted.queues, digest(secret), created_by, now, wanted.expires_at)
        self._keys.add(key)
        return secret, key

    def page(self, wanted: Selection) -> Page[ApiKey]:
        """The keys that are asked for, those that have expired too. Raises Invalid for a pattern that is no regular
        expression."""
        return selected(self._keys.all(), wanted, lambda key: (key.name,))

    def delete(self, name: str) -> None:
        """End a key, on all processes of this host at once. Raises NotFound."""
        self._keys.remove(name)
        self._revocations.bump()

    def owner(self, secret: str) -> tuple[Principal, datetime]:
        """Who a key belongs to, and until when. Raises Unauthenticated."""
        now = datetime.now(UTC)
        key = self._keys.by_digest(digest(secret))
        if key is None:
            raise Unauthenticated("The API key is unknown or has been deleted.", code="token_invalid")
        if key.expires_at and key.expires_at <= now:
            raise Unauthenticated("The API key has expired: ask an admin for another.", code="token_invalid")
        self._note_use(key, now)
        return key.principal, key.expires_at or _NEVER

    def _note_use(self, key: ApiKey, now: datetime) -> None:
        if key.last_used_at and now - key.last_used_at < self._noted_every:
            return
        try:
            self._keys.used(key, now)
        except StoreUnavailable as exc:  # no reason to refuse the request
            log.warning("api_key_use_not_noted", reason=exc.detail)


def digest(secret: str) -> str:
    """What is stored of a token or key: 256 random bits cannot be guessed from a plain hash, and need no salt."""
    return sha256(secret.encode()).hexdigest()

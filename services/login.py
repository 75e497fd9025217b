"""Logging in and out, and who a token belongs to."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from threading import Lock

import structlog
from cachetools import TTLCache

from domain.api_key import PREFIX
from domain.errors import Invalid, NotFound, StoreUnavailable, Throttled, Unauthenticated
from domain.user import Grant, Principal, User
from gateway.mongo import Store
from runtime.revocation_counter import RevocationCounter
from services.api_keys import ApiKeys, digest
from services.first_admin import FirstAdmin
from services.passwords import matches

log = structlog.get_logger("workerrmq.login")

MAX_FAILURES = 10

MONITOR = Principal("setting:METRICS_TOKEN", "monitor")
"""Who asks with METRICS_TOKEN. The name cannot be a user's: those have no colon."""


class Login:
    """Thread-safe. Every method raises StoreUnavailable when the store is needed and away."""

    def __init__(
        self,
        store: Store,
        revocations: RevocationCounter,
        api_keys: ApiKeys,
        first_admin: FirstAdmin,
        token_seconds: int,
        metrics_token: str = "",
        *,
        failure_window: timedelta = timedelta(minutes=15),
        cached: float = 2.0,
    ) -> None:
        """Who has the `metrics_token` is a monitor, whether the store is there or not. Wrong passwords count for
        `failure_window`. Another host may go on trusting a token that was revoked for `cached` seconds; on this host
        the revocations ends that at once."""
        self._store = store
        self._revocations = revocations
        self._api_keys = api_keys
        self._first_admin = first_admin
        self._metrics_token = digest(metrics_token) if metrics_token else ""
        self._lifetime = timedelta(seconds=token_seconds)
        self._failure_window = failure_window
        self._known: TTLCache[str, tuple[bytes, Principal, datetime]] = TTLCache(10_000, cached)
        self._lock = Lock()

    def prepare(self) -> None:
        """Make the first user now rather than at the first login, if the store is there."""
        try:
            self._first_admin.ensure()
        except StoreUnavailable as exc:
            log.warning("first_user_not_sought", reason=exc.detail)

    def login(self, username: str, password: str, address: str) -> tuple[str, Grant, User]:
        """A new token, what it stands for, and the user.

        Raises Unauthenticated, saying as much of an unknown user as of a wrong password, and Throttled after ten wrong
        ones for the same account from the same address, until their window has passed.
        """
        self._first_admin.ensure()
        failures, seconds_left = self._store.login_failures.count(username, address)
        if failures >= MAX_FAILURES:
            raise Throttled("Too many wrong passwords: wait, then try again.", retry_after=seconds_left)
        try:
            user = self._store.users.get(username)
        except NotFound:
            user = None
        if user and user.disabled_at:  # told no more than one who does not exist
            user = None
        if not matches(password, user.password_hash if user else None) or user is None:
            self._store.login_failures.add(username, address, self._failure_window)
            raise Unauthenticated("The user name or the password is wrong.", code="wrong_credentials")
        if failures:
            self._store.login_failures.clear(username, address)
        token = secrets.token_urlsafe(32)
        grant = Grant(user.username, user.stamp, datetime.now(UTC) + self._lifetime)
        self._store.tokens.add(digest(token), grant)
        return token, grant, user

    def logout(self, token: str) -> None:
        """End a token, on all processes of this host at once. Raises Invalid for an API key."""
        if token.startswith(PREFIX):
            raise Invalid("An API key does not log out; an admin ends it with DELETE /deleteApiKey.")
        self._store.tokens.remove(digest(token))
        self._revocations.bump()

    def principal(self, token: str) -> Principal:
        """Who the token or API key belongs to, as what it is now. Raises Unauthenticated."""
        hashed = digest(token)
        if hashed == self._metrics_token:
            return MONITOR
        revocations = self._revocations.now()  # before the store is asked: what is revoked meanwhile must not be kept
        with self._lock:
            known = self._known.get(hashed)
        if known is not None and known[0] == revocations and known[2] > datetime.now(UTC):
            return known[1]
        principal, until = self._owner_of(token, hashed)
        with self._lock:
            self._known[hashed] = (revocations, principal, until)
        return principal

    def _owner_of(self, token: str, hashed: str) -> tuple[Principal, datetime]:
        return self._api_keys.owner(token) if token.startswith(PREFIX) else self._token_owner(hashed)

    def _token_owner(self, hashed: str) -> tuple[Principal, datetime]:
        grant = self._store.tokens.get(hashed)
        if grant is None:
            raise Unauthenticated("The token is unknown or has expired: log in again.", code="token_invalid")
        return self._owner(grant), grant.expires_at

    def _owner(self, grant: Grant) -> Principal:
        try:
            user = self._store.users.get(grant.username)
        except NotFound:
            user = None
        if user is None or user.disabled_at or user.stamp != grant.stamp:
            raise Unauthenticated("The token has been revoked: log in again.", code="token_invalid")
        return Principal(user.username, user.role)

"""Login, logout and the authentication of tokens."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from threading import Lock

import structlog
from cachetools import TTLCache

from domain.api_key import PREFIX
from domain.client_address import network_of
from domain.errors import Invalid, NotFound, StoreUnavailable, Throttled, Unauthenticated
from domain.user import Grant, Principal, User
from gateway.mongo import Store
from gateway.mongo.login_failures import Subject
from runtime.revocation_counter import RevocationCounter
from services.api_keys import ApiKeys, digest
from services.first_admin import FirstAdmin
from services.passwords import AT_ONCE, matches
from services.turnstile import Turnstile

log = structlog.get_logger("workerrmq.login")

MAX_FAILURES = 10
"""Wrong passwords allowed for one account from one network in a window."""

MAX_FAILURES_IN_ALL = 100
"""Wrong passwords allowed for one account from all networks, and from one network for all accounts, in a window. It is
above MAX_FAILURES, so that one network alone cannot lock an account for all others."""

MONITOR = Principal("setting:METRICS_TOKEN", "monitor", "setting:METRICS_TOKEN")
"""The principal of METRICS_TOKEN. User names contain no colon, so no user can have this name."""


class Login:
    """Thread-safe. Every method raises StoreUnavailable when it needs the store and the store is down."""

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
        max_waiting: int = 16,
        cached: float = 2.0,
    ) -> None:
        """Requests with `metrics_token` have the role monitor, even while the store is down. Wrong passwords count for
        `failure_window`. At most `max_waiting` logins wait for a password check, which takes two seconds in all. A
        token that another host revokes stays valid here for at most `cached` seconds."""
        self._store = store
        self._revocations = revocations
        self._api_keys = api_keys
        self._first_admin = first_admin
        self._metrics_token = digest(metrics_token) if metrics_token else ""
        self._lifetime = timedelta(seconds=token_seconds)
        self._failures = store.login_failures
        self._failure_window = failure_window
        self._checks = Turnstile(AT_ONCE, max_waiting, retry_after=2)
        self._known: TTLCache[str, tuple[bytes, Principal, datetime]] = TTLCache(10_000, cached)
        self._lock = Lock()

    def prepare(self) -> None:
        """Create the first user now instead of at the first login, if the store is available."""
        try:
            self._first_admin.ensure()
        except StoreUnavailable as exc:
            log.warning("first_user_check_failed", reason=exc.detail)

    def login(self, username: str, password: str, address: str) -> tuple[str, Grant, User]:
        """Check a password. Return a new token, its grant, and the user.

        Raises Unauthenticated, with the same text for an unknown user and a wrong password. Raises Throttled after too
        many wrong passwords (see `_limits`) until their window has passed, and while too many logins wait.
        """
        self._first_admin.ensure()
        limits = _limits(username, network_of(address))
        _check(limits, self._failures.counts(list(limits)))  # throttled clients must not fill the turnstile
        with self._checks.entered():
            user = self._user(username)
            for subject in limits:  # counted first, so that a burst cannot exceed the limit
                _check({subject: limits[subject]}, [self._failures.add(subject, self._failure_window)], spent=1)
            if not matches(password, user.password_hash if user else None) or user is None:
                raise Unauthenticated("The user name or the password is wrong.", code="wrong_credentials")
            both, *each = limits
            self._failures.clear(both)
            for subject in each:
                self._failures.take_back(subject)
        token = secrets.token_urlsafe(32)
        grant = Grant(user.username, user.stamp, datetime.now(UTC) + self._lifetime)
        self._store.tokens.add(digest(token), grant)
        return token, grant, user

    def _user(self, username: str) -> User | None:
        """Return the user, or None for an unknown or disabled one, so that the answer is the same for both."""
        try:
            user = self._store.users.get(username)
        except NotFound:
            return None
        return None if user.disabled else user

    def logout(self, token: str) -> None:
        """Revoke a token; all processes of this host reject it at once. Raises Invalid for an API key."""
        if token.startswith(PREFIX):
            raise Invalid("API keys cannot log out. An admin can delete the key with DELETE /deleteApiKey.")
        self._store.tokens.remove(digest(token))
        self._revocations.bump()

    def principal(self, token: str) -> Principal:
        """Return the principal of a token or API key, with its current role. Raises Unauthenticated."""
        hashed = digest(token)
        if hashed == self._metrics_token:
            return MONITOR
        revocations = self._revocations.now()  # read before the store, so that a concurrent revocation voids the entry
        with self._lock:
            known = self._known.get(hashed)
        if known is not None and known[0] == revocations and known[2] > datetime.now(UTC):
            return known[1]
        is_key = token.startswith(PREFIX)
        principal, until = self._api_keys.owner(token) if is_key else self._token_owner(hashed)
        with self._lock:
            self._known[hashed] = (revocations, principal, until)
        return principal

    def _token_owner(self, hashed: str) -> tuple[Principal, datetime]:
        grant = self._store.tokens.get(hashed)
        if grant is None:
            raise Unauthenticated("The token is unknown or has expired. Log in again.", code="token_invalid")
        user = self._user(grant.username)
        if user is None or user.stamp != grant.stamp:
            raise Unauthenticated("The token has been revoked. Log in again.", code="token_invalid")
        identity = f"user:{user.username}:{user.created_at.isoformat()}"
        return Principal(user.username, user.role, identity), grant.expires_at


def _limits(username: str, network: str) -> dict[Subject, int]:
    """Return the counters of a login, and how many wrong passwords each allows in a window."""
    return {
        (username, network): MAX_FAILURES,
        (username, None): MAX_FAILURES_IN_ALL,
        (None, network): MAX_FAILURES_IN_ALL,
    }


def _check(limits: Mapping[Subject, int], counts: Sequence[tuple[int, float]], spent: int = 0) -> None:
    """Raise Throttled when a count has reached its limit. `counts` are (failures, seconds left in the window); `spent`
    of each belong to the current attempt."""
    waits = [left for limit, (count, left) in zip(limits.values(), counts, strict=True) if count - spent >= limit]
    if waits:
        raise Throttled("Too many wrong passwords. Wait, then try again.", retry_after=max(waits))

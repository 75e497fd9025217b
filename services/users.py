"""Users: make, list, change and remove them. Somebody always stays admin."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from domain.details import Page
from domain.errors import Conflict
from domain.selection import Selection
from domain.user import Role, User
from gateway.mongo import Store
from runtime.revocation_counter import RevocationCounter
from services.passwords import hashed
from services.selecting import selected


class UserAccounts:
    """Thread-safe. Every method raises StoreUnavailable when the store is away."""

    def __init__(self, store: Store, revocations: RevocationCounter) -> None:
        self._store = store
        self._revocations = revocations

    def create(self, username: str, password: str, role: Role) -> User:
        """The new user. Raises Conflict when the name is taken, whatever the password."""
        now = datetime.now(UTC)
        user = User(username, role, hashed(password), _stamp(), now, now)
        self._store.users.add(user)
        return user

    def page(self, wanted: Selection) -> Page[User]:
        """The users that are asked for. Raises Invalid for a pattern that is no regular expression."""
        return selected(self._store.users.all(), wanted, lambda user: (user.username,))

    def all(self) -> list[User]:
        """Every user, by name."""
        return self._store.users.all()

    def update(
        self, username: str, password: str | None = None, role: Role | None = None, disabled: bool | None = None
    ) -> User:
        """The changed user. A new password and being disabled end all its tokens, a new role holds for them at once.

        Raises NotFound, and Conflict when it would leave nobody as admin.
        """
        now = datetime.now(UTC)
        if role is not None:
            self._set_role(username, role, now)
        if disabled is not None:
            self._set_disabled(username, disabled, now)
        if password is not None:
            self._store.users.set_password(username, hashed(password), _stamp(), now)
        if password is not None or disabled:
            self._store.tokens.remove_of(username)
        self._revocations.bump()
        return self._store.users.get(username)

    def delete(self, username: str) -> None:
        """Remove a user with all its tokens. Raises NotFound, and Conflict when nobody else is admin."""
        self._set_role(username, "viewer", datetime.now(UTC))
        self._store.users.remove(username)
        self._store.tokens.remove_of(username)
        self._revocations.bump()

    def _set_role(self, username: str, role: Role, now: datetime) -> None:
        before = self._store.users.set_role(username, role, now)
        # Asked afterwards, and taken back: of two that demote each other at once, not both may succeed.
        if before.role == "admin" and role != "admin" and self._nobody_is_admin():
            self._store.users.set_role(username, "admin", now)
            raise _last_admin(username)

    def _set_disabled(self, username: str, disabled: bool, now: datetime) -> None:
        before = self._store.users.set_disabled(username, now if disabled else None, now)
        if before.role == "admin" and disabled and self._nobody_is_admin():
            self._store.users.set_disabled(username, before.disabled_at, now)
            raise _last_admin(username)

    def _nobody_is_admin(self) -> bool:
        return not self._store.users.any_enabled("admin")


def _last_admin(username: str) -> Conflict:
    return Conflict(f"{username!r} is the last admin. Make another user admin first.", code="last_admin")


def _stamp() -> str:
    return secrets.token_urlsafe(8)

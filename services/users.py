"""Users: create, list, change and delete them. At least one enabled admin always remains."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from domain.audit import State
from domain.details import Page
from domain.errors import Conflict
from domain.model import MASK
from domain.selection import Selection
from domain.user import Role, User
from gateway.mongo import Store
from runtime.revocation_counter import RevocationCounter
from services.passwords import hashed
from services.selecting import selected


class UserAccounts:
    """Thread-safe. Every method raises StoreUnavailable when the store is down."""

    def __init__(self, store: Store, revocations: RevocationCounter) -> None:
        self._store = store
        self._revocations = revocations

    def create(self, username: str, password: str, role: Role) -> User:
        """Create a user and return it. Raises Conflict when the name exists, even with the same password."""
        now = datetime.now(UTC)
        user = User(username, role, hashed(password), _stamp(), now, now)
        self._store.users.add(user)
        return user

    def page(self, wanted: Selection) -> Page[User]:
        """Return the wanted page of users. Raises what `selected` raises."""
        return selected(self._store.users.all(), wanted, lambda user: (user.username,))

    def all(self) -> list[User]:
        """Return all users, sorted by name."""
        return self._store.users.all()

    def state_of(self, username: str) -> State:
        """Return a user for the audit log; another stamp means another password. Raises NotFound."""
        user = self._store.users.get(username)
        shown = {"role": user.role, "password": MASK, **({"disabled": True} if user.disabled else {})}
        return State(shown | {"password": user.stamp}, shown)

    def update(
        self, username: str, password: str | None = None, role: Role | None = None, disabled: bool | None = None
    ) -> User:
        """Change a user and return it. A new password, or disabling the user, revokes all its tokens; a new role
        applies to them at once. Raises NotFound, and Conflict when no enabled admin would remain."""
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
        """Delete a user and revoke all its tokens. Raises NotFound, and Conflict when no enabled admin would remain."""
        self._set_role(username, "viewer", datetime.now(UTC))
        self._store.users.remove(username)
        self._store.tokens.remove_of(username)
        self._revocations.bump()

    def _set_role(self, username: str, role: Role, now: datetime) -> None:
        before = self._store.users.set_role(username, role, now)
        # Checked after the change, which is then reverted: if two admins demote each other, at most one succeeds.
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
    return Conflict(f"{username!r} is the last admin. Give another user the role admin first.", code="last_admin")


def _stamp() -> str:
    return secrets.token_urlsafe(8)

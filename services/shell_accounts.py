"""Changes to users from the shell. No request records them in the audit log, so this module does."""

from __future__ import annotations

import getpass
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from domain.audit import AuditEntry, State, changes
from domain.errors import NotFound
from domain.user import Role, User
from gateway.mongo.audit import AuditEntries
from services.users import UserAccounts


class ShellAccounts:
    """UserAccounts that records each change in the audit log after it is made. The user of an entry is `shell:` and the
    operating system's user; no API user or key can have such a name. Raises what UserAccounts raises."""

    def __init__(self, accounts: UserAccounts, audit: AuditEntries) -> None:
        self._accounts = accounts
        self._audit = audit

    def all(self) -> list[User]:
        """As UserAccounts.all."""
        return self._accounts.all()

    def create(self, username: str, password: str, role: Role) -> User:
        """As UserAccounts.create."""
        with self._recorded("createUser", username, 201):
            return self._accounts.create(username, password, role)

    def update(
        self, username: str, password: str | None = None, role: Role | None = None, disabled: bool | None = None
    ) -> User:
        """As UserAccounts.update."""
        with self._recorded("updateUser", username, 200):
            return self._accounts.update(username, password, role, disabled)

    def delete(self, username: str) -> None:
        """As UserAccounts.delete."""
        with self._recorded("deleteUser", username, 200):
            self._accounts.delete(username)

    def _state(self, username: str) -> State | None:
        try:
            return self._accounts.state_of(username)
        except NotFound:
            return None

    @contextmanager
    def _recorded(self, action: str, username: str, status: int) -> Iterator[None]:
        before = self._state(username)
        yield
        entry = AuditEntry(
            entry_id=secrets.token_hex(12),
            at=datetime.now(UTC),
            user=f"shell:{_login()}",
            action=action,
            resource={"username": username},
            remote="",
            status=status,
            request_id="",
            changes=tuple(changes(before, self._state(username))),
        )
        self._audit.add([entry])


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # for example in a container whose user has no name
        return "unknown"

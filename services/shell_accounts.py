"""Changes to users from the shell. No request records them in the audit log, so this module does."""

from __future__ import annotations

import getpass
import secrets
from datetime import UTC, datetime

from domain.audit import AuditEntry
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
        user = self._accounts.create(username, password, role)
        self._record("createUser", username, 201)
        return user

    def update(
        self, username: str, password: str | None = None, role: Role | None = None, disabled: bool | None = None
    ) -> User:
        """As UserAccounts.update."""
        user = self._accounts.update(username, password, role, disabled)
        self._record("updateUser", username, 200)
        return user

    def delete(self, username: str) -> None:
        """As UserAccounts.delete."""
        self._accounts.delete(username)
        self._record("deleteUser", username, 200)

    def _record(self, action: str, username: str, status: int) -> None:
        entry = AuditEntry(
            entry_id=secrets.token_hex(12),
            at=datetime.now(UTC),
            user=f"shell:{_login()}",
            action=action,
            resource={"username": username},
            remote="",
            status=status,
            request_id="",
        )
        self._audit.add([entry])


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # for example in a container whose user has no name
        return "unknown"

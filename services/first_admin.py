"""The first user: an admin, created once, by one process, while there is no user."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime

from domain.errors import Conflict
from domain.user import User
from gateway.mongo import Store
from services.passwords import hashed


class FirstAdmin:
    """Checked at every start, and before every login until the store has answered once."""

    def __init__(self, store: Store, username: str, password: str, announce: Callable[[str], None]) -> None:
        """Without `password`, generate one and pass it, in a sentence, to `announce`. It is recorded nowhere else."""
        self._store = store
        self._username = username
        self._password = password
        self._announce = announce
        self._ensured = False

    def ensure(self) -> None:
        """Create the first user if there is none. Raises StoreUnavailable; then call it again later."""
        if self._ensured:
            return
        if not self._store.users.count():
            self._create()
        self._ensured = True

    def _create(self) -> None:
        password = self._password or secrets.token_urlsafe(12)
        now = datetime.now(UTC)
        admin = User(self._username, "admin", hashed(password), secrets.token_urlsafe(8), now, now)
        try:
            self._store.users.add(admin)
        except Conflict:  # another process created it, and announces its password
            return
        if not self._password:
            self._announce(f"The first user is {self._username!r} with the password {password} (shown only now).")

"""The first user: made once, by one process, when there is no user at all."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime

from domain.errors import Conflict
from domain.user import User
from gateway.mongo import Store
from services.passwords import hashed


class FirstAdmin:
    """Asked at every start, and before every login until the store has answered once."""

    def __init__(self, store: Store, username: str, password: str, announce: Callable[[str], None]) -> None:
        """Without a `password` one is made up, and `announce` gets the sentence that tells it: the only trace of it."""
        self._store = store
        self._username = username
        self._password = password
        self._announce = announce
        self._ensured = False

    def ensure(self) -> None:
        """Return when there is a user. Raises StoreUnavailable; then it is to be asked again."""
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
        except Conflict:  # another process was faster, and tells its password
            return
        if not self._password:
            self._announce(f"The first user is {self._username!r} with the password {password} (shown only now).")
